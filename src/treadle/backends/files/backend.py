"""The files backend: an engine on a thread of its own, and callers that wait for it."""

import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

import msgspec

from treadle.backends.base import Capabilities, Durability
from treadle.backends.cancellation import opened
from treadle.backends.files.disk import Disk
from treadle.backends.files.engine import Engine, Read, Write
from treadle.backends.files.journal import Position
from treadle.backends.files.tables import FileTables
from treadle.backends.group_thread import GroupThread
from treadle.backends.model.apply import apply_batch, apply_claim
from treadle.backends.model.tables import Change
from treadle.backends.waiting import Waiting
from treadle.clock import Clock, new_token, system_clock
from treadle.core.claims import ClaimRequest
from treadle.core.codec import copied
from treadle.core.commands import Commands, Receipt
from treadle.core.mailboxes import MailboxEntry
from treadle.core.queries import Query

T = TypeVar("T")


class _Call(msgspec.Struct, eq=False):
    """Something for the engine to do."""

    do: Write | Read
    writes: bool


class FilesBackend:
    """Plain JSON files in a folder, shared by any number of processes."""

    capabilities = Capabilities(durable=True, shared=True, notifies=True)

    def __init__(
        self,
        root: str | os.PathLike[str],
        clock: Clock = system_clock,
        durability: Durability = "full",
        disk: Disk | None = None,
        *,
        creates: bool = True,
    ) -> None:
        self._clock = clock
        self._engine = Engine(os.fspath(root), clock, durability, disk, creates=creates)
        self._thread = GroupThread("treadle-files", self._carry_out, self._engine.close, self._told)
        self._waiting = Waiting(self._position)

    async def open(self) -> None:
        """Open the folder, finish what a crash has left, and start the engine's thread."""
        await opened(self._engine.open, self._engine.close)
        self._thread.start()

    async def close(self) -> None:
        """Let the engine finish what it was given, and end its thread."""
        await self._thread.close()
        self._waiting.wake()

    async def commit(self, batch: Commands) -> Receipt:
        """Apply all commands of a checked batch, or none."""
        receipt = await self._write(lambda tables, now: apply_batch(tables, batch, now))
        return Receipt(results=copied(receipt.results))

    async def claim(self, request: ClaimRequest) -> tuple[MailboxEntry, ...]:
        """Take due entries, best first."""
        return copied(
            await self._write(lambda tables, now: apply_claim(tables, request, now, new_token))
        )

    async def read(self, query: Query[T]) -> T:
        """Answer a checked query from one snapshot."""
        return copied(await self._read(query.answer))

    async def wait(self, timeout_ms: int, mailbox_id: str | None = None) -> None:
        """Return once something is claimable, or after `timeout_ms`."""

        async def time_left() -> int | None:
            now = self._clock()
            due = await self._read(lambda tables: tables.next_due(now, mailbox_id))
            return None if due is None else due - now

        await self._waiting.until_due(timeout_ms, time_left)

    async def _write(self, call: Callable[[FileTables, int], tuple[T, list[Change]]]) -> T:
        return cast("T", await self._thread.ask(_Call(call, writes=True)))

    async def _read(self, call: Callable[[FileTables], T]) -> T:
        return cast("T", await self._thread.ask(_Call(call, writes=False)))

    def _carry_out(self, calls: list[_Call]) -> list[Any]:
        """Writes as one group, then reads, which see them."""
        writes = [cast("Write", call.do) for call in calls if call.writes]
        reads = [cast("Read", call.do) for call in calls if not call.writes]
        outcomes = self._engine.run(writes, reads)
        written, read = iter(outcomes[: len(writes)]), iter(outcomes[len(writes) :])
        return [next(written if call.writes else read) for call in calls]

    def _told(self, calls: list[_Call]) -> None:
        if any(call.writes for call in calls):
            self._waiting.wake()

    def _position(self) -> Position | None:
        return self._engine.position() if self._thread.is_running else None
