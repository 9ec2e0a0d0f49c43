"""What the worker's tests share: recorded events, running workers, a store that fails on demand."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from treadle import MailboxEntry, Message, Store, ThreadChangeSet
from treadle.backends.memory.backend import MemoryBackend
from treadle.core.clock import Clock, system_clock
from treadle.core.commands import Commands, ExtendLease, Receipt
from treadle.core.mailboxes import ClaimRequest
from treadle.worker import Backoff, Claimed, Event, Handler, Worker

E = TypeVar("E")

AT_ONCE = Backoff(base_ms=1, factor=1, max_ms=1)
"""A retry within a millisecond."""

PATIENCE_S = 10.0
"""How long a test waits for what must happen, before it fails."""


class Recorder:
    """A hook that keeps all events and lets a test wait for them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._news = asyncio.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    async def wait_for(self, kind: type[E], count: int = 1) -> list[E]:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.of(kind)) < count:
                self._news.clear()
                await self._news.wait()
        return self.of(kind)


@asynccontextmanager
async def running(worker: Worker) -> AsyncIterator["asyncio.Task[None]"]:
    """The worker runs within the block, and is stopped and awaited at its end."""
    task = asyncio.create_task(worker.run())
    try:
        yield task
    finally:
        worker.stop()
        async with asyncio.timeout(PATIENCE_S):
            await task


async def start(worker: Worker, recorder: Recorder, claims: int = 1) -> "asyncio.Task[None]":
    """The worker's run, once it has claimed so much; the test stops it."""
    task = asyncio.create_task(worker.run())
    await recorder.wait_for(Claimed, claims)
    return task


async def until_stopped(worker: Worker) -> None:
    """The worker runs until its handler stops it."""
    async with asyncio.timeout(PATIENCE_S * 3):
        await worker.run()


async def until_idle(worker: Worker) -> None:
    async with asyncio.timeout(PATIENCE_S * 3):
        await worker.run(until_idle=True)


async def work(store: Store, handler: Handler, recorder: Recorder) -> None:
    """Send one entry to mailbox t, and run a worker until it has ended."""
    await store.mailboxes.send("t", {"text": "hi"})
    await until_idle(Worker(store, handler, backoff=AT_ONCE, max_attempts=3, on_event=recorder))


async def eventually(condition: Callable[[], bool]) -> None:
    """For what only another thread or process can bring about."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def load(store: Store, entry: MailboxEntry) -> MailboxEntry:
    found = await store.mailboxes.load(entry.entry_id)
    assert found is not None
    return found


def says(text: str) -> ThreadChangeSet:
    return ThreadChangeSet(messages=(Message.assistant(text),))


async def texts(store: Store, thread_id: str) -> list[str]:
    head = await store.threads.load(thread_id)
    assert head is not None
    return [str(message.content) for message in head.thread.messages]


class FaultyBackend(MemoryBackend):
    """Memory that fails, hangs or forgets to answer, as `before` and `after` say.

    Both are called with the operation's name: claim, wait, load, renew (a commit of ExtendLease
    only) or commit. `before` raises instead of doing it, `after` although it was done.
    """

    def __init__(self, clock: Clock = system_clock) -> None:
        super().__init__(clock)
        self.calls: Counter[str] = Counter()
        self.before: Callable[[str], None] = _nothing
        self.after: Callable[[str], None] = _nothing
        self.gates: dict[str, asyncio.Event] = {}
        """An operation that has a gate waits until it is set, before it does anything."""
        self.batches: list[Commands] = []

    async def commit(self, batch: Commands) -> Receipt:
        renewal = all(isinstance(command, ExtendLease) for command in batch)
        name = "renew" if renewal else "commit"
        await self._enter(name)
        self.batches.append(batch)
        receipt = await super().commit(batch)
        self.after(name)
        return receipt

    async def claim(self, request: ClaimRequest) -> tuple[MailboxEntry, ...]:
        await self._enter("claim")
        entries = await super().claim(request)
        self.after("claim")
        return entries

    async def wait(self, timeout_ms: int, mailbox_id: str | None = None) -> None:
        await self._enter("wait")
        await super().wait(timeout_ms, mailbox_id)

    async def load_entry(self, entry_id: str) -> MailboxEntry | None:
        await self._enter("load")
        return await super().load_entry(entry_id)

    async def _enter(self, name: str) -> None:
        self.calls[name] += 1
        gate = self.gates.get(name)
        if gate is not None:
            await gate.wait()
        self.before(name)


def _nothing(name: str) -> None:
    pass
