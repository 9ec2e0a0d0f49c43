"""The files backend: an engine on a thread of its own, and callers that wait for it."""

import asyncio
import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast

import msgspec

from weft.backends.base import Capabilities
from weft.backends.files.disk import Disk
from weft.backends.files.engine import Durability, Engine, Failure, Read, Write
from weft.backends.files.journal import Position
from weft.backends.files.tables import FileTables
from weft.backends.memory import mailboxes, runs, threads
from weft.backends.memory.commit import apply_batch, apply_claim
from weft.backends.memory.tables import Change
from weft.core.clock import Clock, system_clock
from weft.core.codec import copied
from weft.core.commands import Batch, Receipt
from weft.core.mailboxes import (
    ClaimRequest,
    EntryPage,
    EntryQuery,
    MailboxEntry,
    MailboxState,
    MailboxStats,
)
from weft.core.messages import MessagePage
from weft.core.runs import RunPage, RunQuery, RunRecord
from weft.core.threads import MessageQuery, ThreadDelta, ThreadHead, ThreadPage, ThreadQuery
from weft.errors import StoreClosed

T = TypeVar("T")

_GROUP = 256
"""Most requests that share a lock and a sync; it bounds how long other processes wait."""
_LOOK_SECONDS = (0.02, 0.04)
"""How often a waiting caller looks whether another process has written: 32 bytes are read."""


class _Request(msgspec.Struct, eq=False):
    """Something to be done by the engine's thread, for a caller that waits."""

    call: Write | Read | None
    """None closes the engine."""
    writes: bool
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"


class FilesBackend:
    """Plain JSON files in a folder, shared by any number of processes."""

    capabilities = Capabilities(durable=True, shared=True, notifies=True)

    def __init__(
        self,
        root: str | os.PathLike[str],
        clock: Clock = system_clock,
        durability: Durability = "full",
        disk: Disk | None = None,
    ) -> None:
        self._clock = clock
        self._engine = Engine(os.fspath(root), clock, durability, disk)
        self._queue: SimpleQueue[_Request] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._sleepers: set[Callable[[], None]] = set()

    async def open(self) -> None:
        """Open the folder, finish what a crash has left, and start the engine's thread."""
        opening = asyncio.ensure_future(asyncio.to_thread(self._engine.open))
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            await asyncio.wait([opening])
            if opening.exception() is None:
                await asyncio.to_thread(self._engine.close)
            raise
        self._thread = threading.Thread(target=self._work, name="weft-files", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Let the engine finish what it was given, and end its thread."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._wake()
            closing = self._ask(None, writes=False)
            await asyncio.shield(closing)
            await asyncio.to_thread(thread.join)

    async def commit(self, batch: Batch) -> Receipt:
        """Apply all commands of a checked batch, or none."""
        receipt = await self._write(lambda tables, now: apply_batch(tables, batch, now))
        return Receipt(results=copied(receipt.results))

    async def claim(self, request: ClaimRequest) -> tuple[MailboxEntry, ...]:
        """Take due entries, best first."""
        return copied(await self._write(lambda tables, now: apply_claim(tables, request, now)))

    async def wait(self, timeout_ms: int, mailbox_id: str | None = None) -> None:
        """Return once something is claimable, or after `timeout_ms`."""
        end = time.monotonic() + timeout_ms / 1000
        while (left := end - time.monotonic()) > 0:
            self._require_open()
            seen, now = self._engine.position(), self._clock()
            due = await self._read(partial(_next_due, now=now, mailbox_id=mailbox_id))
            if due is not None and due <= now:
                return
            await self._sleep(left if due is None else min(left, (due - now) / 1000), seen)

    async def load_thread(self, thread_id: str) -> ThreadHead | None:
        """A thread as a whole, or None."""
        return copied(await self._read(lambda tables: threads.load(tables, thread_id)))

    async def list_messages(self, query: MessageQuery) -> MessagePage:
        """A page of a thread's messages."""
        return copied(await self._read(lambda tables: threads.list_messages(tables, query)))

    async def list_threads(self, query: ThreadQuery) -> ThreadPage:
        """A page of thread ids, in order."""
        return await self._read(lambda tables: threads.list_threads(tables, query))

    async def list_deltas(
        self, thread_id: str, after_version: int
    ) -> tuple[ThreadDelta, ...] | None:
        """What happened to a thread since `after_version`."""
        return await self._read(
            lambda tables: threads.list_deltas(tables, thread_id, after_version)
        )

    async def load_run(self, run_id: str) -> RunRecord | None:
        """A run, or None."""
        return copied(await self._read(lambda tables: runs.load(tables, run_id)))

    async def list_runs(self, query: RunQuery) -> RunPage:
        """A page of runs, oldest first."""
        return copied(await self._read(lambda tables: runs.list_runs(tables, query)))

    async def find_active_run(self, thread_id: str) -> RunRecord | None:
        """The newest run of a thread that is not done, or None."""
        return copied(await self._read(lambda tables: runs.find_active(tables, thread_id)))

    async def load_entry(self, entry_id: str) -> MailboxEntry | None:
        """A mailbox entry, or None."""
        return copied(await self._read(lambda tables: mailboxes.load(tables, entry_id)))

    async def load_mailbox(self, mailbox_id: str) -> MailboxState | None:
        """A mailbox's state, or None."""
        return copied(await self._read(lambda tables: mailboxes.load_state(tables, mailbox_id)))

    async def list_entries(self, query: EntryQuery) -> EntryPage:
        """A page of entries, oldest first."""
        return copied(await self._read(lambda tables: mailboxes.list_entries(tables, query)))

    async def count_entries(self, mailbox_id: str | None) -> MailboxStats:
        """How many entries there are in each status."""
        return await self._read(lambda tables: mailboxes.count(tables, mailbox_id))

    async def _write(self, call: Callable[[FileTables, int], tuple[T, list[Change]]]) -> T:
        return cast("T", await self._ask(call, writes=True))

    async def _read(self, call: Callable[[FileTables], T]) -> T:
        return cast("T", await self._ask(call, writes=False))

    def _ask(self, call: Write | Read | None, *, writes: bool) -> "asyncio.Future[Any]":
        if call is not None:
            self._require_open()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._queue.put(_Request(call, writes, loop, future))
        return future

    async def _sleep(self, seconds: float, seen: Position) -> None:
        """Sleep until somebody writes: this process tells, others are looked for."""
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        ending = looking = loop.call_later(seconds, wake)

        def look() -> None:
            nonlocal looking
            if self._thread is None or self._engine.position() != seen:
                wake()
            else:
                looking = loop.call_later(random.uniform(*_LOOK_SECONDS), look)  # noqa: S311

        look()
        self._sleepers.add(wake)
        try:
            await woken
        finally:
            self._sleepers.discard(wake)
            looking.cancel()
            ending.cancel()

    def _work(self) -> None:
        """The engine's thread: carry out what has gathered, as one group, until closed."""
        while True:
            group = [self._queue.get()]
            with suppress(Empty):
                while len(group) < _GROUP and group[-1].call is not None:
                    group.append(self._queue.get_nowait())
            closing = group.pop() if group[-1].call is None else None
            self._run([request for request in group if not request.future.cancelled()])
            if closing is not None:
                self._finish([closing], [self._close()])
                return

    def _run(self, group: list[_Request]) -> None:
        ordered = sorted(group, key=_reads_last)
        writes = [cast("Write", request.call) for request in ordered if request.writes]
        reads = [cast("Read", request.call) for request in ordered if not request.writes]
        self._finish(ordered, self._engine.run(writes, reads))

    def _close(self) -> Failure | None:
        try:
            self._engine.close()
        except Exception as error:
            return Failure(error)
        return None

    def _finish(self, requests: list[_Request], outcomes: list[Any]) -> None:
        """Tell the callers, each event loop once."""
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Request, Any]]] = {}
        for request, outcome in zip(requests, outcomes, strict=True):
            by_loop.setdefault(request.loop, []).append((request, outcome))
        for loop, settled in by_loop.items():
            with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
                loop.call_soon_threadsafe(self._tell, settled)

    def _tell(self, settled: list[tuple[_Request, Any]]) -> None:
        for request, outcome in settled:
            if request.future.cancelled():
                continue
            if isinstance(outcome, Failure):
                request.future.set_exception(outcome.error)
            else:
                request.future.set_result(outcome)
        if any(request.writes for request, _ in settled):
            self._wake()

    def _wake(self) -> None:
        """Let those who wait look again."""
        for wake in tuple(self._sleepers):
            wake()

    def _require_open(self) -> None:
        if self._thread is None:
            raise StoreClosed


def _next_due(tables: FileTables, now: int, mailbox_id: str | None) -> int | None:
    return tables.next_due(now, mailbox_id)


def _reads_last(request: _Request) -> bool:
    return not request.writes
