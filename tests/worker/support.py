"""What the worker's tests share: recorded events, running workers, a store that fails on demand."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

from treadle import MailboxEntry, Message, Store, ThreadChangeSet
from treadle.backends.memory.backend import MemoryBackend
from treadle.core.claims import ClaimRequest, ExtendLease
from treadle.core.commands import Commands, Receipt
from treadle.core.id_ranges import IdRanges
from treadle.core.mailbox_deletion import Purge
from treadle.core.mailbox_queries import LoadEntry
from treadle.core.queries import Query
from treadle.testing import ManualClock
from treadle.worker import Backoff, Claimed, Delivery, Event, Handler, Released, Retried, Worker
from treadle.worker._clock import sleep

E = TypeVar("E")
T = TypeVar("T")

AT_ONCE = Backoff(base_ms=1, factor=1, max_ms=1)
"""A retry within a millisecond."""

DEADLINE_S = 10.0
"""The real time after which a test fails that waits for an event in vain."""


class NewWorker(Protocol):
    """The type of the fixture `new_worker`."""

    def __call__(self, store: Store, handler: Handler, **options: Any) -> Worker: ...


class Work(Protocol):
    """The type of the fixture `work`."""

    async def __call__(self, handler: Handler) -> None: ...


class Observable:
    """Something that a test watches until a condition holds."""

    def __init__(self) -> None:
        self._news = asyncio.Event()

    def note_change(self) -> None:
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once `condition` holds; it is checked at each change."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self._news.clear()
                await self._news.wait()


class Recorder(Observable):
    """A hook that keeps all events and lets a test wait for them.

    It moves the clock to the time of each retry or snooze, unless `skips_delays` is False.
    """

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self.events: list[Event] = []
        self.skips_delays = True
        self._clock = clock

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self.note_change()
        if isinstance(event, Retried | Released) and event.retry_at and self.skips_delays:
            self._clock.now = max(self._clock.now, event.retry_at)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    async def wait_for(self, kind: type[E], count: int = 1) -> list[E]:
        await self.until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)


class FaultyBackend(Observable, MemoryBackend):
    """Memory that fails, hangs or loses its answer, as `before` and `after` say.

    Both are called with the operation's name: claim, wait, load, commit, or renew and purge for
    commits of such commands only. `before` raises instead of the operation, `after` after it.
    """

    def __init__(self, clock: ManualClock) -> None:
        Observable.__init__(self)
        MemoryBackend.__init__(self, clock)
        self.calls: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.before: Callable[[str], None] = do_nothing
        self.after: Callable[[str], None] = do_nothing
        self.gates: dict[str, asyncio.Event] = {}
        """An operation that has a gate waits until it is set, before it does anything."""
        self.batches: list[Commands] = []

    async def called(self, name: str, times: int) -> None:
        """Return once an operation has been called so many times."""
        await self.until(lambda: self.calls[name] >= times)

    async def commit(self, batch: Commands) -> Receipt:
        name = _name_of(batch)
        await self._enter(name)
        self.batches.append(batch)
        receipt = await super().commit(batch)
        self._leave(name)
        return receipt

    async def claim(self, request: ClaimRequest) -> tuple[MailboxEntry, ...]:
        await self._enter("claim")
        entries = await super().claim(request)
        self._leave("claim")
        return entries

    async def wait(
        self, timeout_ms: int, mailbox_id: str | None = None, among: IdRanges | None = None
    ) -> None:
        await self._enter("wait")
        await super().wait(3_600_000, mailbox_id, among)  # so that only the manual clock ends it

    async def read(self, query: Query[T]) -> T:
        if isinstance(query, LoadEntry):
            await self._enter("load")
        return await super().read(query)

    async def _enter(self, name: str) -> None:
        self.calls[name] += 1
        self.note_change()
        gate = self.gates.get(name)
        if gate is not None:
            await gate.wait()
        self.before(name)

    def _leave(self, name: str) -> None:
        self.done[name] += 1
        self.note_change()
        self.after(name)


def _name_of(batch: Commands) -> str:
    for name, kind in (("renew", ExtendLease), ("purge", Purge)):
        if all(isinstance(command, kind) for command in batch):
            return name
    return "commit"


def do_nothing(name: str) -> None:
    pass


class Blocked:
    """A handler that runs until it is freed or cancelled."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.cancelled: list[Delivery] = []
        self.any_cancelled = asyncio.Event()

    async def __call__(self, delivery: Delivery) -> None:
        try:
            await self.free.wait()
        except asyncio.CancelledError:
            assert delivery.cancelled
            self.cancelled.append(delivery)
            self.any_cancelled.set()
            raise


async def return_at_once(delivery: Delivery) -> None:
    """A handler that does nothing."""


async def block(delivery: Delivery) -> None:
    """A handler that ends when it is cancelled."""
    await asyncio.Event().wait()


@asynccontextmanager
async def running(worker: Worker) -> AsyncIterator["asyncio.Task[None]"]:
    """Run the worker within the block; stop and await it at the end."""
    task = asyncio.create_task(worker.run())
    try:
        yield task
    finally:
        worker.stop()
        async with asyncio.timeout(DEADLINE_S):
            await task


async def settle() -> None:
    """Let all tasks run until they wait; in memory, nothing takes more than a few turns."""
    for _ in range(30):
        await asyncio.sleep(0)


async def advance(clock: ManualClock, ms: int) -> None:
    """Move the clock when all tasks wait, and let them run until they wait again."""
    await settle()
    clock.now += ms
    await settle()


@asynccontextmanager
async def passing_time(
    clock: ManualClock, call: Callable[[], Awaitable[object]]
) -> AsyncIterator[None]:
    """Let time pass within the block: 10 ms with each `call` of the store.

    So other calls of the store take about as long, however slow it really is.
    """

    async def pass_time() -> None:
        while True:
            await call()
            await advance(clock, 10)

    task = asyncio.create_task(pass_time())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def pause(clock: ManualClock, ms: float) -> None:
    """Return when the clock has moved on by `ms`."""
    await sleep(clock, ms / 1000)


async def start(worker: Worker, recorder: Recorder, claims: int = 1) -> "asyncio.Task[None]":
    """Run the worker and return its task after so many claims; the test stops it."""
    task = asyncio.create_task(worker.run())
    await recorder.wait_for(Claimed, claims)
    return task


async def until_stopped(worker: Worker) -> None:
    """Run the worker until its handler stops it."""
    async with asyncio.timeout(DEADLINE_S * 3):
        await worker.run()


async def until_idle(worker: Worker) -> None:
    """Run the worker until nothing is left to do."""
    async with asyncio.timeout(DEADLINE_S * 3):
        await worker.run(until_idle=True)


async def load(store: Store, entry: MailboxEntry) -> MailboxEntry:
    found = await store.mailboxes.load_entry(entry.entry_id)
    assert found is not None
    return found


async def until_renewed(store: Store, clock: ManualClock, entry: MailboxEntry) -> None:
    """Let time pass, 25 ms with each look at the entry, until its lease is renewed.

    It is due when a third of it has passed. When a half has, the worker gets real time only: a
    machine with much else to do may need more for a renewal than for dozens of looks.
    """
    before = (await load(store, entry)).lease_until
    assert before is not None
    half = (clock.now + before) // 2
    async with asyncio.timeout(DEADLINE_S):
        while (await load(store, entry)).lease_until == before:
            await advance(clock, 25 if clock.now < half else 0)


def says(text: str) -> ThreadChangeSet:
    return ThreadChangeSet(messages=(Message.assistant(text),))


async def texts(store: Store, thread_id: str) -> list[str]:
    head = await store.threads.load(thread_id)
    assert head is not None
    return [str(message.content) for message in head.thread.messages]


async def send_all(store: Store, *payloads: object, delay_ms: int = 0) -> list[MailboxEntry]:
    """Send each payload to the mailbox `t`."""
    return [(await store.mailboxes.send("t", each, delay_ms=delay_ms)).entry for each in payloads]


def payloads_of(entries: Sequence[MailboxEntry]) -> list[object]:
    return [each.payload for each in entries]


async def statuses(store: Store) -> dict[object, tuple[str, int]]:
    """The status and the attempts of each entry, by its payload."""
    page = await store.mailboxes.list_entries()
    return {each.payload: (each.status, each.attempt_count) for each in page.items}
