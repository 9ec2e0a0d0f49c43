"""Backends that break the rules of mailboxes."""

import asyncio
from collections.abc import Iterable
from typing import Any, get_args

import msgspec
from msgspec.structs import replace

from tests.conformance.broken_backends.broken_backend import Twisted, breaks
from treadle import ErrorCount
from treadle.backends.base import Guarantee
from treadle.backends.memory.backend import MemoryBackend
from treadle.backends.model.tables import Tables
from treadle.core.claims import Ack, ClaimRequest, DeadLetter, ExtendLease, Nack, Release
from treadle.core.commands import AnyCommand, Commands, Receipt
from treadle.core.cursors import cursor_of
from treadle.core.mailbox_commands import Cancel, Enqueue, Interrupt, Send, Withdraw
from treadle.core.mailbox_deletion import Purge
from treadle.core.mailbox_queries import CountEntries, ListMailboxSummaries, SearchEntries
from treadle.core.mailbox_reports import ReportEntries
from treadle.core.mailboxes import STATUSES, TERMINAL, EntryStatus, MailboxEntry, Sent


@breaks(Guarantee.ENTRIES_MOVE_BY_RULE, "settling needs the token of the claim: ack, wrong token")
class Trusting(Twisted):
    """Acks without looking at the token."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        return self.with_right_token(command) if isinstance(command, Ack) else command


@breaks(Guarantee.ENTRIES_MOVE_BY_RULE, "a lease is not extended when the claim is lost")
class Obliging(Twisted):
    """Extends a lease with any token."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        return self.with_right_token(command) if isinstance(command, ExtendLease) else command


@breaks(Guarantee.ENTRIES_MOVE_BY_RULE, "a nacked entry is queued until its retry")
class Impatient(Twisted):
    """Retries at once."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        return replace(command, retry_at=None) if isinstance(command, Nack) else command


@breaks(Guarantee.ENTRIES_MOVE_BY_RULE, "a dead letter keeps its error")
class Silent(Twisted):
    """Loses the error of a dead letter."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        return replace(command, error="") if isinstance(command, DeadLetter) else command


@breaks(
    Guarantee.ENTRIES_MOVE_BY_RULE, "a traceback is kept beside its error and goes with it: retried"
)
class Sentimental(Tables):
    """Keeps the traceback of an error that another one has replaced."""

    def put(self, table: Any, key: str, row: Any) -> None:
        before = self.entries.get(key) if table == "entries" else None
        if isinstance(row, MailboxEntry) and before and row.last_traceback is None:
            row = replace(row, last_traceback=before.last_traceback)
        super().put(table, key, row)


@breaks(Guarantee.ENTRIES_MOVE_BY_RULE, "a release gives the attempt back and changes nothing else")
class Counting(Twisted):
    """Counts a claim that was released as an attempt."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if not isinstance(command, Release) or (found := self.entry(command.entry_id)) is None:
            return command
        return Nack(
            entry_id=command.entry_id,
            claim_token=command.claim_token,
            now=command.now,
            retry_at=found.available_at,
            error=found.last_error or "",
        )


@breaks(Guarantee.ENTRIES_MOVE_BY_RULE, "an entry that has ended stays as it is and is returned")
class Reviving(Tables):
    """Ends an entry again that has ended."""

    def put(self, table: Any, key: str, row: Any) -> None:
        if isinstance(row, MailboxEntry) and row.status == "accepted":
            row = replace(row, status="queued")
        super().put(table, key, row)


@breaks(Guarantee.ENTRIES_MOVE_BY_RULE, "interrupt raises the generation and supersedes")
class Merciful(Twisted):
    """Leaves the claimed entry alone in an interrupt."""

    async def commit(self, batch: Commands) -> Receipt:
        held = {key: e for key, e in self.tables.entries.items() if e.status == "claimed"}
        receipt = await MemoryBackend.commit(self, batch)
        if any(isinstance(command, Interrupt) for command in batch):
            self.tables.entries.update(held)
        return receipt


@breaks(Guarantee.ENTRIES_MOVE_BY_RULE, "a claimed entry is not withdrawn")
class Snatching(Twisted):
    """Withdraws an entry that somebody holds."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if not isinstance(command, Withdraw):
            return command
        found = self.tables.find_duplicate(command.mailbox_id, command.dedupe_key)
        return command if found is None else Cancel(entry_id=found.entry_id, now=command.now)


@breaks(Guarantee.ENTRIES_MOVE_BY_RULE, "a queued entry is withdrawn by its dedupe key: due")
class Sprawling(Tables):
    """Finds an entry by its dedupe key in whichever mailbox."""

    def find_duplicate(self, mailbox_id: str, dedupe_key: str) -> MailboxEntry | None:
        found = [each for each in self.entries.values() if each.dedupe_key == dedupe_key]
        return found[-1] if found else None


@breaks(Guarantee.ENTRIES_MOVE_BY_RULE, "purge removes entries that ended before a time")
class Sweeping(Twisted):
    """Purges what ended at the very time, too."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if isinstance(command, Purge):
            return replace(command, ended_before=command.ended_before + 1)
        return command


@breaks(Guarantee.ENTRIES_MOVE_BY_RULE, "purge keeps dead letters unless they are asked for")
class Thorough(Twisted):
    """Purges dead letters, too."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        return replace(command, statuses=tuple(TERMINAL)) if isinstance(command, Purge) else command


@breaks(Guarantee.ENTRIES_MOVE_BY_RULE, "purge of a mailbox keeps what is in others")
class Boundless(Twisted):
    """Purges all mailboxes where one was asked for."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        return replace(command, mailbox_id=None) if isinstance(command, Purge) else command


@breaks(Guarantee.ENTRIES_MOVE_BY_RULE, "deleting a mailbox deletes its state and all its entries")
class Hoarding(Tables):
    """Keeps the dead letters of a mailbox that is deleted."""

    def find_entries(
        self, mailbox_id: str | None, statuses: Iterable[EntryStatus]
    ) -> list[MailboxEntry]:
        found = super().find_entries(mailbox_id, statuses)
        is_deletion = mailbox_id is not None and set(statuses) == set(STATUSES)
        return [each for each in found if not is_deletion or each.status != "dead_letter"]


@breaks(Guarantee.ONE_HOLDER, "who holds an entry of a deleted mailbox has lost it")
class Loyal(Tables):
    """Leaves the claimed entry of a mailbox that is deleted to its holder."""

    def find_entries(
        self, mailbox_id: str | None, statuses: Iterable[EntryStatus]
    ) -> list[MailboxEntry]:
        found = super().find_entries(mailbox_id, statuses)
        is_deletion = mailbox_id is not None and set(statuses) == set(STATUSES)
        return [each for each in found if not is_deletion or each.status != "claimed"]


@breaks(
    Guarantee.WORK_COMES_IN_ONCE,
    "a deleted mailbox begins again without keys or interrupts",
)
class Resentful(Tables):
    """Keeps the state of a mailbox that is deleted."""

    def put(self, table: Any, key: str, row: Any) -> None:
        if table != "mailboxes" or row is not None:
            super().put(table, key, row)


@breaks(
    Guarantee.WORK_COMES_IN_ONCE,
    "a send with a known dedupe key returns the first entry and writes nothing",
)
class Forgetful(Tables):
    """Never finds a dedupe key again."""

    def find_duplicate(self, mailbox_id: str, dedupe_key: str) -> MailboxEntry | None:
        return None


@breaks(Guarantee.WORK_COMES_IN_ONCE, "a dedupe key is known after its entry has ended")
class ShortSighted(Tables):
    """Forgets a dedupe key when its entry has ended."""

    def find_duplicate(self, mailbox_id: str, dedupe_key: str) -> MailboxEntry | None:
        found = super().find_duplicate(mailbox_id, dedupe_key)
        return found if found and found.status in ("queued", "claimed") else None


@breaks(Guarantee.WORK_COMES_IN_ONCE, "each mailbox has its own dedupe keys")
class Global(Tables):
    """Takes a dedupe key for the same in whatever mailbox."""

    def find_duplicate(self, mailbox_id: str, dedupe_key: str) -> MailboxEntry | None:
        return next((e for e in self.entries.values() if e.dedupe_key == dedupe_key), None)


@breaks(Guarantee.WORK_COMES_IN_ONCE, "enqueue refuses any generation but the current one")
class Tolerant(Twisted):
    """Takes work of any generation."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if not isinstance(command, Enqueue):
            return command
        state = self.tables.mailboxes.get(command.entry.mailbox_id)
        generation = state.current_generation if state else command.entry.generation
        return Enqueue(entry=replace(command.entry, generation=generation))


@breaks(
    Guarantee.WORK_COMES_IN_ONCE,
    "enqueue checks the id then the generation then the dedupe key",
)
class KeyFirst(Twisted):
    """Checks the dedupe key of an entry before its generation."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if not isinstance(command, Enqueue) or not self._has_known_key(command.entry):
            return command
        state = self.tables.mailboxes[command.entry.mailbox_id]
        return Enqueue(entry=replace(command.entry, generation=state.current_generation))

    def _has_known_key(self, entry: MailboxEntry) -> bool:
        key = entry.dedupe_key
        return key is not None and self.tables.find_duplicate(entry.mailbox_id, key) is not None


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "entries are counted by status in one mailbox or in all")
class Miscounting(MemoryBackend):
    """Counts all mailboxes where one was asked for."""

    async def read(self, query: Any) -> Any:
        if isinstance(query, CountEntries):
            query = CountEntries()
        return await super().read(query)


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "entries are found in their order in pages of any size")
class Coarse(MemoryBackend):
    """Begins a page behind all entries of the time at which the last one ended."""

    async def read(self, query: Any) -> Any:
        start = query.start() if isinstance(query, SearchEntries) else None
        if start is not None:
            last = "\U0010ffff" * 50 if query.order == "asc" else "!"
            query = replace(query, after=cursor_of(replace(start, id=last)))
        return await super().read(query)


@breaks(
    Guarantee.LISTINGS_ARE_COMPLETE,
    "entries are filtered in every order: a letter that JSON uses in escapes",
)
class Escaped(MemoryBackend):
    """Looks for the text of an error in its JSON."""

    async def read(self, query: Any) -> Any:
        if not isinstance(query, SearchEntries) or query.error is None:
            return await super().read(query)
        page = await super().read(replace(query, error=None, limit=200))
        text = encoded(query.error)
        found = [each for each in page.items if text in encoded(each.last_error or "")]
        return replace(page, items=tuple(found), next_cursor=None)


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "a summary names the holder with the latest lease")
class Anonymous(MemoryBackend):
    """Names no holder of a mailbox."""

    async def read(self, query: Any) -> Any:
        page = await super().read(query)
        if not isinstance(query, ListMailboxSummaries):
            return page
        return replace(page, items=tuple(replace(each, claimed_by=None) for each in page.items))


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "entries are filtered in every order: since a time")
class Later(MemoryBackend):
    """Leaves out what was sent at the very time since when entries are searched."""

    async def read(self, query: Any) -> Any:
        if isinstance(query, SearchEntries) and query.since is not None:
            query = replace(query, since=query.since + 1)
        return await super().read(query)


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "a report tells due from scheduled and retrying")
class Optimistic(MemoryBackend):
    """Takes what waits for its retry for scheduled work."""

    async def read(self, query: Any) -> Any:
        report = await super().read(query)
        if not isinstance(query, ReportEntries):
            return report
        return replace(report, scheduled=report.scheduled + report.retrying, retrying=0)


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "a report counts what is in a paused mailbox apart")
class Alarmed(MemoryBackend):
    """Takes what is in a paused mailbox for due."""

    async def read(self, query: Any) -> Any:
        report = await super().read(query)
        if not isinstance(query, ReportEntries):
            return report
        return replace(report, due=report.due + report.paused)


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "a report groups errors by their number")
class Reproachful(MemoryBackend):
    """Takes why somebody has ended an entry for an error."""

    async def read(self, query: Any) -> Any:
        report = await super().read(query)
        if not isinstance(query, ReportEntries):
            return report
        ended = [
            ErrorCount(error=each.last_error, count=1)
            for each in self.tables.entries.values()
            if each.status == "cancelled" and each.last_error
        ]
        return replace(report, errors=(*report.errors, *ended))


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "a report counts leases that are over")
class Patient(MemoryBackend):
    """Takes a lease for live in its last millisecond, and a moment longer."""

    async def read(self, query: Any) -> Any:
        report = await super().read(query)
        if not isinstance(query, ReportEntries):
            return report
        earlier = await super().read(replace(query, now=report.at - 1))
        return replace(report, expired=earlier.expired)


def encoded(text: str) -> bytes:
    return msgspec.json.encode(text)[1:-1]


@breaks(
    Guarantee.ENTRIES_MOVE_BY_RULE, "a release gives the attempt back and changes nothing else: 0"
)
class Stingy(Tables):
    """Never gives the first attempt back."""

    def put(self, table: Any, key: str, row: Any) -> None:
        before = self.entries.get(key) if table == "entries" else None
        if isinstance(row, MailboxEntry) and before and row.attempt_count < before.attempt_count:
            row = replace(row, attempt_count=max(row.attempt_count, 1))
        super().put(table, key, row)


@breaks(
    Guarantee.ENTRIES_MOVE_BY_RULE, "ending a mailbox's work includes entries of the same batch"
)
class Snapshotted(Tables):
    """Does not find, when it ends a mailbox's work, what its own batch has put there."""

    def find_unfinished(self, mailbox_id: str) -> list[MailboxEntry]:
        new = {key for (table, key), row in self._before.items() if row is None}
        found = super().find_unfinished(mailbox_id)
        return [entry for entry in found if entry.entry_id not in new]


@breaks(
    Guarantee.WORK_COMES_IN_ONCE, "new entries change nothing of their mailbox but its last turn"
)
class Touching(Tables):
    """Touches a mailbox's state when work comes in."""

    def put(self, table: Any, key: str, row: Any) -> None:
        if isinstance(row, MailboxEntry) and key not in self.entries:
            state = self.mailboxes[row.mailbox_id]
            super().put("mailboxes", row.mailbox_id, replace(state, updated_at=row.updated_at))
        super().put(table, key, row)


@breaks(
    Guarantee.WORK_COMES_IN_ONCE, "sends that arrive together with one dedupe key add one entry"
)
class Hesitant(MemoryBackend):
    """Looks for a dedupe key, and has a break before it writes."""

    async def commit(self, batch: Commands) -> Receipt:
        missing = [command for command in batch if isinstance(command, Send) and self._new(command)]
        await asyncio.sleep(0)
        free = tuple(
            replace(command, dedupe_key=None) if command in missing else command
            for command in batch
        )
        receipt = await super().commit(free)
        for command in missing:
            entry = self.tables.entries[command.entry_id]
            kept = replace(entry, dedupe_key=command.dedupe_key)
            self.tables.entries[command.entry_id] = kept
        return receipt

    def _new(self, command: Send) -> bool:
        key = command.dedupe_key
        return key is not None and not self.tables.find_duplicate(command.mailbox_id, key)


@breaks(Guarantee.WORK_COMES_IN_ONCE, "dedupe keys that look alike are different")
class Folding(Tables):
    """Takes dedupe keys for the same that differ in letter case."""

    def find_duplicate(self, mailbox_id: str, dedupe_key: str) -> MailboxEntry | None:
        for entry in self.find_entries(mailbox_id, get_args(EntryStatus)):
            if entry.dedupe_key and entry.dedupe_key.casefold() == dedupe_key.casefold():
                return entry
        return None


@breaks(Guarantee.WORK_COMES_IN_ONCE, "a send with a known dedupe key returns the first entry")
class Tightlipped(MemoryBackend):
    """Does not say that a dedupe key was known."""

    async def commit(self, batch: Commands) -> Receipt:
        receipt = await super().commit(batch)
        results = [
            replace(each, was_known=False) if isinstance(each, Sent) else each
            for each in receipt.results
        ]
        return Receipt(results=tuple(results))


@breaks(Guarantee.VALUES_ARE_KEPT, "headers come with every entry that is returned")
class Beheading(MemoryBackend):
    """Claims entries without their headers."""

    async def claim(self, request: ClaimRequest) -> tuple[MailboxEntry, ...]:
        return tuple(replace(each, headers={}) for each in await super().claim(request))
