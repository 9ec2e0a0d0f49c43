"""Backends that are right until something is large, or at the end of its range."""

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from tests.conformance.broken_backends.broken_backend import Twisted, breaks
from treadle.backends.base import Guarantee
from treadle.backends.memory.backend import MemoryBackend
from treadle.backends.model.tables import Tables
from treadle.core.claims import ClaimRequest
from treadle.core.commands import AnyCommand, Commands, Receipt
from treadle.core.mailbox_commands import Cancel, Send
from treadle.core.mailbox_queries import ListEntries
from treadle.core.mailboxes import EntryStatus, MailboxEntry, MailboxState, MailboxStats
from treadle.core.pages import Page
from treadle.core.run_commands import UpsertRun
from treadle.core.runs import RunRecord
from treadle.core.thread_commands import AppendThread
from treadle.core.thread_queries import ListDeltas, LoadThread
from treadle.core.threads import StoredThread, ThreadDelta

TEXT = 2**16 - 1
"""The largest text column of some databases, in bytes."""
MANY = 1_000


def cut(text: str) -> str:
    return text.encode()[:TEXT].decode(errors="ignore")


@breaks(Guarantee.VALUES_ARE_KEPT, "a message is kept at size: 64 kB")
class TextColumn(Twisted):
    """Cuts the text of a message off at 65,535 bytes."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if not isinstance(command, AppendThread):
            return command
        messages = tuple(
            replace(message, content=cut(message.content))
            for message in command.changes.messages
            if isinstance(message.content, str)
        )
        return replace(command, changes=replace(command.changes, messages=messages))


@breaks(Guarantee.VALUES_ARE_KEPT, "a message of 16 megabytes is kept")
class Packets(Twisted):
    """Loses a message that is larger than what it sends at once."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if not isinstance(command, AppendThread):
            return command
        messages = tuple(m for m in command.changes.messages if len(str(m.content)) < 2**23)
        return replace(command, changes=replace(command.changes, messages=messages))


@breaks(Guarantee.VALUES_ARE_KEPT, "an entry is kept at size: 64 kB")
class ShortErrors(Tables):
    """Keeps the beginning of a long error only."""

    def put(self, table: Any, key: str, row: Any) -> None:
        if isinstance(row, MailboxEntry) and row.last_error is not None:
            row = replace(row, last_error=cut(row.last_error))
        super().put(table, key, row)


@breaks(Guarantee.VALUES_ARE_KEPT, "a run is kept at size: 1 MB")
class SmallMetadata(Twisted):
    """Drops the metadata of a run that is larger than a request may be."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if isinstance(command, UpsertRun) and len(str(command.run.metadata)) > 2**18:
            return replace(command, run=replace(command.run, metadata=None))
        return command


@breaks(Guarantee.ALL_OR_NOTHING, "the last of a thousand commands takes back all")
class Chunks(MemoryBackend):
    """Applies a large batch in parts, because its database takes so many statements at a time."""

    async def commit(self, batch: Commands) -> Receipt:
        results: list[Any] = []
        for start in range(0, len(batch), 500):
            results += (await super().commit(batch[start : start + 500])).results
        return Receipt(results=tuple(results))


@breaks(Guarantee.ALL_OR_NOTHING, "a batch of a thousand sends is applied whole")
class LostSends(MemoryBackend):
    """Writes the first thousand entries of a batch, and acknowledges all."""

    async def commit(self, batch: Commands) -> Receipt:
        receipt = await super().commit(batch)
        sent = [each.entry_id for each in batch if isinstance(each, Send)]
        for entry_id in sent[MANY:]:
            self.tables.entries.pop(entry_id, None)
        return receipt


@breaks(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED, "the deltas of hundreds of versions are all known")
class ShortHistory(MemoryBackend):
    """Gives the first 256 deltas, as if there were no others."""

    async def read(self, query: Any) -> Any:
        answer = await super().read(query)
        return answer[:256] if answer and isinstance(query, ListDeltas) else answer


@breaks(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED, "the deltas of hundreds of versions are all known")
class TrimmedHistory(Tables):
    """Keeps the last five hundred deltas, and does not say that it has lost those before them."""

    def find_deltas(
        self, thread_id: str, after_version: int, until_version: int
    ) -> tuple[ThreadDelta, ...] | None:
        deltas = super().find_deltas(thread_id, after_version, until_version)
        return deltas and deltas[-500:]


@breaks(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED, "hundreds of patches are all kept")
class Compacting(MemoryBackend):
    """Forgets the oldest patches of a thread that has many."""

    async def read(self, query: Any) -> Any:
        answer = await super().read(query)
        if isinstance(query, LoadThread) and answer is not None:
            thread = replace(answer.thread, patches=answer.thread.patches[-512:])
            return replace(answer, thread=thread)
        return answer


@breaks(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED, "every message id of a long thread is known")
class ShortMemory(Tables):
    """Compares the ids of new messages with those of the last hundred."""

    def find_known_messages(self, thread_id: str, message_ids: Iterable[str]) -> set[str]:
        messages = self.threads[thread_id].head.thread.messages[-100:]
        return {message.id for message in messages if message.id is not None} & set(message_ids)


@breaks(Guarantee.VERSIONS_WITHOUT_GAPS, "the version of a long thread is still guarded")
class ByteVersions(Tables):
    """Keeps a version in too few bits."""

    def put(self, table: Any, key: str, row: Any) -> None:
        if isinstance(row, StoredThread):
            row = replace(row, head=replace(row.head, version=row.head.version % 512))
        super().put(table, key, row)


class _ShortPages(MemoryBackend):
    """Changes the pages of listings."""

    async def read(self, query: Any) -> Any:
        answer = await super().read(query)
        return self.change(answer, query) if isinstance(answer, Page) else answer

    def change(self, page: Any, query: Any) -> Any:
        raise NotImplementedError


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "more than a thousand threads are listed")
class RoughTotals(_ShortPages):
    """Counts to a thousand, as search engines do."""

    def change(self, page: Any, query: Any) -> Any:
        return replace(page, total=min(page.total, MANY))


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "more than a thousand runs are listed")
class ResultWindow(_ShortPages):
    """Has no page behind the first thousand items."""

    def change(self, page: Any, query: Any) -> Any:
        return replace(page, items=page.items if query.start < MANY else ())


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "more than a thousand mailboxes are listed")
class EarlyEnd(_ShortPages):
    """Says that a thousand items are all."""

    def change(self, page: Any, query: Any) -> Any:
        return replace(page, has_more=page.has_more and query.end < MANY)


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "more than a thousand entries are listed and counted")
class EstimatedCounts(MemoryBackend):
    """Rounds large counts."""

    async def read(self, query: Any) -> Any:
        answer = await super().read(query)
        if isinstance(answer, MailboxStats) and answer.queued > MANY:
            return replace(answer, queued=round(answer.queued, -2))
        return answer


class _FewAtATime(Tables):
    """Finds the first thousand entries when a command asks for all of a mailbox."""

    def find_unfinished(self, mailbox_id: str) -> list[MailboxEntry]:
        return list(super().find_unfinished(mailbox_id))[:MANY]


@breaks(Guarantee.ENTRIES_MOVE_BY_RULE, "an interrupt supersedes more than a thousand entries")
class ShortInterrupt(_FewAtATime):
    """Supersedes a thousand entries at most."""


@breaks(Guarantee.ENTRIES_MOVE_BY_RULE, "more than a thousand entries are cancelled and purged")
class ShortPurge(Tables):
    """Purges a thousand entries at most."""

    def find_entries(
        self, mailbox_id: str | None, statuses: Iterable[EntryStatus]
    ) -> list[MailboxEntry]:
        found = list(super().find_entries(mailbox_id, statuses))
        return found[:MANY] if mailbox_id is None and "queued" not in statuses else found


@breaks(Guarantee.ONE_HOLDER, "one claim takes from more than a thousand mailboxes")
class ShortClaim(MemoryBackend):
    """Gives a thousand entries at most."""

    async def claim(self, request: ClaimRequest) -> tuple[MailboxEntry, ...]:
        return await super().claim(replace(request, limit=min(request.limit, MANY)))


@breaks(Guarantee.ONE_HOLDER, "every priority has its order")
class SignedPriorities(Tables):
    """Keeps a priority in a signed byte."""

    def find_claimable(self, request: ClaimRequest, now: int) -> Iterable[MailboxEntry]:
        chosen = list(super().find_claimable(replace(request, limit=10**6), now))
        chosen.sort(key=lambda entry: -((entry.priority + 128) % 256 - 128))
        return chosen[: request.limit]


@breaks(Guarantee.VALUES_ARE_KEPT, "mailboxes keep ids and dedupe keys at the ends of their range")
class ShortKeys(Tables):
    """Compares the first 191 characters of dedupe keys, as a short index does."""

    def find_duplicate(self, mailbox_id: str, dedupe_key: str) -> MailboxEntry | None:
        for entry in self.find_entries(mailbox_id, ("queued",)):
            if (entry.dedupe_key or "")[:191] == dedupe_key[:191]:
                return entry
        return super().find_duplicate(mailbox_id, dedupe_key)


@breaks(Guarantee.VALUES_ARE_KEPT, "times that a float cannot tell apart stay apart")
class FloatTimes(Tables):
    """Keeps times as floats."""

    def put(self, table: Any, key: str, row: Any) -> None:
        if isinstance(row, MailboxEntry):
            row = replace(row, available_at=min(int(float(row.available_at)), 2**63 - 1))
        super().put(table, key, row)


@breaks(Guarantee.ENTRIES_MOVE_BY_RULE, "hundreds of interrupts and attempts are counted")
class ByteGenerations(Tables):
    """Keeps the generation of a mailbox in a byte."""

    def put(self, table: Any, key: str, row: Any) -> None:
        if isinstance(row, MailboxState):
            row = replace(row, current_generation=row.current_generation % 256)
        super().put(table, key, row)


@breaks(Guarantee.VALUES_ARE_KEPT, "token counts are kept at any size")
class SmallCounts(Tables):
    """Keeps token counts in 32 bits."""

    def put(self, table: Any, key: str, row: Any) -> None:
        if isinstance(row, RunRecord):
            row = replace(row, input_tokens=min(row.input_tokens, 2**32 - 1))
        super().put(table, key, row)


@breaks(Guarantee.TIME_IS_GIVEN, "every command takes the first and the last time: the first")
class NoTimeZero(Twisted):
    """Takes the time 0 for no time."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if isinstance(command, Cancel) and not command.now:
            return replace(command, now=None)
        return command


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "more than a thousand entries are listed and counted")
class SlowSort(MemoryBackend):
    """Sorts the entries of a page, and not all of them, once there are many."""

    async def read(self, query: Any) -> Any:
        answer = await super().read(query)
        if isinstance(query, ListEntries) and answer.total > MANY:
            return replace(answer, items=tuple(reversed(answer.items)))
        return answer
