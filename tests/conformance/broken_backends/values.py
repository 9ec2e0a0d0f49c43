"""Backends that break the rules of time, values, waits and cancellation."""

import asyncio
from typing import Any

from msgspec.structs import replace

from tests.conformance.broken_backends.broken_backend import Twisted, breaks
from treadle.backends.base import Guarantee
from treadle.backends.memory.backend import MemoryBackend
from treadle.backends.model.tables import Tables
from treadle.core.claims import due_time
from treadle.core.commands import AnyCommand, Commands, Receipt
from treadle.core.id_ranges import IdRanges, Ids
from treadle.core.limits import LARGEST_TIME
from treadle.core.mailbox_queries import LoadMailbox
from treadle.core.mailboxes import MailboxEntry
from treadle.core.messages import Message
from treadle.core.thread_commands import AppendThread, CreateThread, SaveThread
from treadle.core.thread_queries import ListMessages


@breaks(Guarantee.TIME_IS_GIVEN, "all commands of a batch happen at one time")
class ManyTimes(Twisted):
    """Looks at the clock for every command."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if getattr(command, "now", 0) is None:
            return replace(command, now=self._clock())
        return command


@breaks(Guarantee.TIME_IS_GIVEN, "each command of a batch has its own time")
class OwnTime(Twisted):
    """Does not take the time that a command brings."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if getattr(command, "now", None) is not None:
            return replace(command, now=None)
        return command


@breaks(Guarantee.VALUES_ARE_KEPT, "any json is kept in: the state")
class Rounding(Twisted):
    """Keeps whole floats as integers."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if isinstance(command, CreateThread) and command.thread.state == 1.0:
            return replace(command, thread=replace(command.thread, state=1))
        return command


@breaks(Guarantee.VALUES_ARE_KEPT, "unknown fields are kept at every level of a thread")
class Narrow(Twisted):
    """Drops what it does not know."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if isinstance(command, CreateThread | SaveThread):
            return replace(command, thread=replace(command.thread, extra={}))
        return command


@breaks(Guarantee.VALUES_ARE_KEPT, "every field of every command keeps both ends of its range")
class CText(Twisted):
    """Keeps the run of a message up to the first NUL."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if not isinstance(command, AppendThread):
            return command
        messages = tuple(map(self._cut, command.changes.messages))
        return replace(command, changes=replace(command.changes, messages=messages))

    def _cut(self, message: Message) -> Message:
        if message.metadata is None or message.metadata.run_id is None:
            return message
        run_id = message.metadata.run_id.partition("\0")[0]
        return replace(message, metadata=replace(message.metadata, run_id=run_id))


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "every query answers at both ends of its ranges")
class FromTheEnd(MemoryBackend):
    """Counts a negative position from the end, as Python does."""

    async def read(self, query: Any) -> Any:
        if isinstance(query, ListMessages) and (query.before or 0) < 0:
            query = replace(query, before=None)
        return await super().read(query)


@breaks(
    Guarantee.ENTRIES_MOVE_BY_RULE,
    "an entry with the largest number of attempts is claimed like others",
)
class RollingOver(Tables):
    """Counts attempts in 63 bits, and begins again after the last number."""

    def put(self, table: Any, key: str, row: Any) -> None:
        if isinstance(row, MailboxEntry) and row.status == "claimed":
            row = replace(row, attempt_count=row.attempt_count % LARGEST_TIME)
        super().put(table, key, row)


@breaks(Guarantee.NOTHING_IS_SHARED, "changing the result of a read does not change the store")
class Sharing(MemoryBackend):
    """Hands out what it keeps."""

    async def read(self, query: Any) -> Any:
        return query.answer(self.tables, 0)


@breaks(Guarantee.WAITS_END, "wait ends when something is sent")
class Deaf(MemoryBackend):
    """Loses the wake-up."""

    def _wake(self) -> None:
        pass


@breaks(Guarantee.WAITS_END, "wait ends when a lease expires")
class Unpunctual(Tables):
    """Does not wake for a lease that runs out."""

    def next_due(self, now: int, mailboxes: Ids) -> int | None:
        due = super().next_due(now, mailboxes)
        claimed = self.find_entries(_only(mailboxes), ("claimed",))
        return None if any(entry.lease_until == due for entry in claimed) else due


@breaks(
    Guarantee.CANCELLATION_IS_SAFE, "a cancelled commit is whole or absent and the next one works"
)
class Torn(MemoryBackend):
    """Stops in the middle when its caller goes away."""

    async def commit(self, batch: Commands) -> Receipt:
        results: list[Any] = []
        for command in batch:
            results += (await super().commit((command,))).results
            await asyncio.sleep(0)
        return Receipt(results=tuple(results))


@breaks(Guarantee.VALUES_ARE_KEPT, "any text is kept in: entries")
class Terminated(Tables):
    """Compares dedupe keys up to their first NUL, as languages do whose texts end there."""

    def find_duplicate(self, mailbox_id: str, dedupe_key: str) -> MailboxEntry | None:
        return super().find_duplicate(mailbox_id, dedupe_key.partition("\0")[0])


@breaks(Guarantee.NOTHING_IS_SHARED, "changing the result of a read does not change the store")
class Lending(MemoryBackend):
    """Hands out the states of mailboxes that it keeps."""

    async def read(self, query: Any) -> Any:
        if isinstance(query, LoadMailbox):
            return query.answer(self.tables, 0)
        return await super().read(query)


@breaks(Guarantee.WAITS_END, "wait uses its whole time when there is nothing to claim")
class Restless(MemoryBackend):
    """Always returns early."""

    async def wait(
        self, timeout_ms: int, mailbox_id: str | None = None, among: IdRanges | None = None
    ) -> None:
        return


@breaks(Guarantee.WAITS_END, "wait ends when something falls due")
class Procrastinating(Tables):
    """Waits for what falls due last."""

    def next_due(self, now: int, mailboxes: Ids) -> int | None:
        due = super().next_due(now, mailboxes)
        if due == now:
            return due
        entries = self.find_entries(_only(mailboxes), ("queued", "claimed"))
        return max((due_time(entry) for entry in entries), default=None)


@breaks(Guarantee.WAITS_END, "a wait for a prefix ends for its mailboxes only")
class Unchoosy(MemoryBackend):
    """Waits for all mailboxes, whichever are named."""

    async def wait(
        self, timeout_ms: int, mailbox_id: str | None = None, among: IdRanges | None = None
    ) -> None:
        await super().wait(timeout_ms, mailbox_id)


def _only(mailboxes: Ids) -> str | None:
    return mailboxes if isinstance(mailboxes, str) else None
