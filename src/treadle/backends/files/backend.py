"""The files backend: an engine on a thread of its own, and callers that wait for it."""

import asyncio
import os
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any, TypeVar

from treadle.backends._closing import close_all
from treadle.backends._deadline import CALL_SECONDS
from treadle.backends._group_thread import GroupThread
from treadle.backends._hint_ring import HintRing, RingHints
from treadle.backends._hints import CoarseHints
from treadle.backends._live_file import LiveFile
from treadle.backends._local_backend import LocalBackend
from treadle.backends._modes import file_mode_like
from treadle.backends._sleepers import Sleepers
from treadle.backends._waiting import Waiting
from treadle.backends._watch import Watch
from treadle.backends.base import Capabilities, Durability
from treadle.backends.cancellation import opened
from treadle.backends.files._engine import Call, CleanCall, Engine, ReadCall, WriteCall
from treadle.backends.files._read_only import ReadOnlyEngine
from treadle.backends.files.disk import Disk
from treadle.backends.model.apply import apply_batch, apply_claim
from treadle.clock import Clock, new_token, system_clock
from treadle.core.claims import ClaimRequest
from treadle.core.codec import copied
from treadle.core.commands import Commands, Receipt
from treadle.core.id_ranges import Ids
from treadle.core.mailboxes import MailboxEntry
from treadle.core.queries import Query, answer_query

T = TypeVar("T")


class FilesBackend(LocalBackend):
    """Plain JSON files in a folder, shared by any number of processes.

    Args:
        root: the folder.
        clock: the time in unix milliseconds.
        durability: what an acknowledged write survives.
        disk: the file system.
        create: create the store if it does not exist.
        read_only: write nothing to the folder; the store must exist, and nobody may call `commit`
            or `claim`.
        call_seconds: how long a call, or opening, waits for other processes; shorter in tests.
    """

    capabilities = Capabilities(durable=True, shared=True, notifies=True)

    def __init__(
        self,
        root: str | os.PathLike[str],
        clock: Clock = system_clock,
        durability: Durability = "full",
        disk: Disk | None = None,
        *,
        create: bool = True,
        read_only: bool = False,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self._clock = clock
        self._call_seconds = call_seconds
        folder = os.fspath(root)
        self._engine = (
            ReadOnlyEngine(folder, clock)
            if read_only
            else Engine(folder, clock, durability, disk, create=create)
        )
        self._thread = GroupThread(
            "treadle-files", self._carry_out, self._end, self._wake_after, call_seconds
        )
        self._watch = Watch(self._position, costly=self._look_at_files, sleepers=self._sleepers)
        self._waiting = Waiting(self._watch, self._times_left)
        self._hints = CoarseHints(self._watch) if read_only else RingHints(self._watch, self._ring)
        self._live = LiveFile(
            self._engine.own_path("live"),
            lambda: file_mode_like(self._engine.own_path("")),
            read_only=read_only,
        )

    async def open(self) -> None:
        """Open the folder, finish what a crash has left undone, and start the engine's thread."""
        await opened(self._engine.open, self._end, self._call_seconds)
        self._thread.start()

    def _end(self) -> None:
        close_all(self._engine.close, self._live.close)

    @property
    def where(self) -> str:
        """The folder."""
        return self._engine.root

    async def commit(self, batch: Commands) -> Receipt:
        """Apply all commands of a checked batch, or none."""
        receipt: Receipt = await self._thread.ask(WriteCall(partial(apply_batch, batch=batch)))
        return Receipt(results=copied(receipt.results))

    async def claim(self, request: ClaimRequest) -> tuple[MailboxEntry, ...]:
        """Claim due entries, best first."""
        write = WriteCall(partial(apply_claim, request=request, new_token=new_token))
        entries: tuple[MailboxEntry, ...] = await self._thread.ask(write)
        return copied(entries)

    async def read(self, query: Query[T]) -> T:
        """Answer a checked query."""
        answer: T = await self._thread.ask(
            ReadCall(partial(answer_query, query, clock=self._clock()))
        )
        return copied(answer)

    async def remove_traces(self) -> Collection[str]:
        """Remove journals, dead lines of documents and live values, which have what was deleted.

        Returns the names of damaged lines, in whose files dead ones stay.
        """
        damaged: Collection[str] = await self._thread.ask(CleanCall())
        await asyncio.to_thread(self._live.clear)
        return damaged

    async def _times_left(self, mailboxes: Sequence[Ids]) -> list[int | None]:
        now = self._clock()
        times: list[int | None] = await self._thread.ask(
            ReadCall(lambda tables: [tables.next_due(now, each) for each in mailboxes])
        )
        return [None if due is None else due - now for due in times]

    def _carry_out(self, calls: list[Call]) -> list[Any]:
        return self._engine.run(calls, self._thread.patience)

    def _wake_after(self, calls: list[Call]) -> None:
        """Let waits look again after a group that may have changed something."""
        for call in calls:
            if isinstance(call, WriteCall):
                self._watch.wake()
                return

    def _ring(self) -> HintRing | None:
        return self._engine.ring if self._thread.is_running else None

    def _position(self) -> object:
        return self._engine.position() if self._thread.is_running else None

    def _look_at_files(self) -> object:
        return self._engine.look_at_files() if self._thread.is_running else None

    def _sleepers(self) -> Sleepers | None:
        if isinstance(self._engine, ReadOnlyEngine):  # it writes nothing, not even a name
            return None
        ring = self._ring()
        return None if ring is None else ring.sleepers
