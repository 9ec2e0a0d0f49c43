"""A lost claim cancels its handler at once: here the clock that renewals wait by stands still."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.marks import every_backend
from tests.worker.support import (
    Blocked,
    FaultyBackend,
    NewWorker,
    Recorder,
    advance,
    return_at_once,
    running,
    says,
)

from treadle import MailboxEntry, Store, StoreUnavailable, Thread, open_store
from treadle.core.commands import Commands, Receipt
from treadle.core.mailbox_commands import Cancel
from treadle.core.mailbox_queries import LoadClaims
from treadle.core.queries import Query, Together
from treadle.core.taking import Take
from treadle.testing import ManualClock
from treadle.worker import Claimed, Delivery, Done, LeaseLost, Outage, Withdrawn

LOOK_SECONDS = 0.01
"""The pause before a look: an entry that takes longer is looked at."""
End = Callable[[Store, MailboxEntry], Awaitable[Any]]


async def interrupt(store: Store, entry: MailboxEntry) -> None:
    await store.mailboxes.interrupt(entry.mailbox_id)


async def cancel(store: Store, entry: MailboxEntry) -> None:
    await store.mailboxes.cancel(entry.entry_id)


async def supersede(store: Store, entry: MailboxEntry) -> None:
    await store.mailboxes.supersede(entry.entry_id, "there is a newer one")


async def delete(store: Store, entry: MailboxEntry) -> None:
    await store.mailboxes.delete(entry.mailbox_id)


ENDS: dict[str, tuple[End, type[Withdrawn] | type[LeaseLost]]] = {
    "an interrupt": (interrupt, Withdrawn),
    "a cancelled entry": (cancel, Withdrawn),
    "a superseded entry": (supersede, Withdrawn),
    "a deleted mailbox": (delete, LeaseLost),
}


@pytest.fixture
async def blocked() -> Blocked:
    return Blocked()


@every_backend
@pytest.mark.parametrize("end", ENDS)
async def test_what_ends_an_entry_cancels_its_handler_without_a_renewal(
    store: Store, recorder: Recorder, blocked: Blocked, new_worker: NewWorker, end: str
) -> None:
    make_end, event = ENDS[end]
    for number in range(3):
        await store.mailboxes.send(f"m{number}", number)
    async with running(new_worker(store, blocked)):
        claimed = await recorder.wait_for(Claimed, 3)
        await make_end(store, claimed[1].entry)
        await recorder.wait_for(event)
        await blocked.any_cancelled.wait()
        assert [each.entry for each in blocked.cancelled] == [claimed[1].entry]
        blocked.free.set()
        await recorder.wait_for(Done, 2)


@pytest.mark.parametrize("store_url", ["files", "sqlite", "postgres"], indirect=True)
async def test_an_interrupt_of_another_handle_cancels_a_handler_without_a_renewal(
    store: Store,
    store_url: str,
    recorder: Recorder,
    clock: ManualClock,
    blocked: Blocked,
    new_worker: NewWorker,
) -> None:
    await store.mailboxes.send("m", 1)
    async with running(new_worker(store, blocked)), open_store(store_url, clock=clock) as other:
        await recorder.wait_for(Claimed)
        await asyncio.sleep(0.1)  # the look after the claim is over
        await other.mailboxes.interrupt("m")
        await recorder.wait_for(Withdrawn)
        await blocked.any_cancelled.wait()


@every_backend
async def test_a_handler_whose_entry_another_worker_has_claimed_is_cancelled(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker
) -> None:
    """The worker's clock stands still: it cannot know that the lease has expired."""
    blocked = Blocked()
    await store.mailboxes.send("m", 1)
    async with running(new_worker(store, blocked, clock=ManualClock())):
        await recorder.wait_for(Claimed)
        clock.now += 30_000
        [_] = await store.mailboxes.claim(consumer="thief")
        [event] = await recorder.wait_for(LeaseLost)
        await blocked.any_cancelled.wait()
    assert "another worker has claimed the entry" in event.reason


@every_backend
async def test_a_handler_in_a_thread_sees_at_once_that_it_is_cancelled(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    begun, noticed, over = threading.Event(), threading.Event(), threading.Event()

    def handler(delivery: Delivery) -> None:
        begun.set()
        while not over.wait(0.001):
            if delivery.cancelled:
                noticed.set()
                return

    await store.mailboxes.send("m", 1)
    async with running(new_worker(store, handler)):
        assert await asyncio.to_thread(begun.wait, 10)
        await store.mailboxes.interrupt("m")
        was_noticed = await asyncio.to_thread(noticed.wait, 10)
        over.set()
    assert was_noticed


class Watched(FaultyBackend):
    """Counts the looks at claims, and fails them if a test says so."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.looks: list[int] = []
        """The number of entries of each look."""

    async def read(self, query: Query[Any]) -> Any:
        looked = [each for each in parts_of(query) if isinstance(each, LoadClaims)]
        if looked:
            self.looks.append(sum(len(each.entry_ids) for each in looked))
            await self._enter("look")
        return await super().read(query)


def parts_of(query: Query[Any]) -> tuple[Query[Any], ...]:
    return query.queries if isinstance(query, Together) else (query,)


@pytest.fixture
def faulty(clock: ManualClock) -> Watched:
    return Watched(clock)


async def test_a_storm_of_hints_costs_few_looks_each_at_what_is_held(
    faulty: Watched,
    faulty_store: Store,
    recorder: Recorder,
    blocked: Blocked,
    new_worker: NewWorker,
) -> None:
    for number in range(20):
        await faulty_store.mailboxes.send(f"m{number}", number)
    async with running(new_worker(faulty_store, blocked, concurrency=20)):
        await recorder.wait_for(Claimed, 20)
        await faulty.called("look", 1)
        faulty.looks.clear()
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(2_000):
            await faulty_store.mailboxes.send(f"m{number % 25}", number)
            await asyncio.sleep(0)
        took = loop.time() - began
        await asyncio.sleep(0.05)
        assert 1 <= len(faulty.looks) <= took / 0.01 + 5
        assert max(faulty.looks) <= 20
        blocked.free.set()
        await recorder.wait_for(Done, 20)


async def test_the_writes_of_handlers_cause_no_looks(
    faulty: Watched, faulty_store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    await faulty_store.threads.create(Thread(id="m"))

    async def handler(delivery: Delivery) -> None:
        await faulty.called("look", 1)
        for _ in range(200):
            async with delivery.batch(settle=False) as step:
                step.threads.append("m", says("a step"))
            await asyncio.sleep(0.0002)

    await faulty_store.mailboxes.send("m", 1)
    async with running(new_worker(faulty_store, handler)):
        await recorder.wait_for(Done)
    assert faulty.looks == [1]  # after the claim


async def test_entries_that_are_done_at_once_cost_no_look(
    faulty: Watched, faulty_store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    slow = 0
    async with running(new_worker(faulty_store, return_at_once)):
        for number in range(50):
            began = time.monotonic()
            await faulty_store.mailboxes.send(f"m{number % 5}", number)
            await recorder.wait_for(Done, number + 1)
            slow += time.monotonic() - began > LOOK_SECONDS
    assert len(faulty.looks) <= 5 + slow


async def test_an_outage_of_the_looks_is_reported_and_survived(
    faulty: Watched,
    faulty_store: Store,
    recorder: Recorder,
    clock: ManualClock,
    blocked: Blocked,
    new_worker: NewWorker,
) -> None:
    def fail(name: str) -> None:
        if name == "look" and faulty.calls["look"] <= 2:
            raise StoreUnavailable("here", "restarting")

    faulty.before = fail
    await faulty_store.mailboxes.send("m", 1)
    async with running(new_worker(faulty_store, blocked)):
        await recorder.wait_for(Claimed)
        await faulty_store.mailboxes.interrupt("m")
        for count in (1, 2):
            await recorder.wait_for(Outage, count)
            await advance(clock, 1_000)
        await recorder.wait_for(Withdrawn)
    assert Counter(event.operation for event in recorder.of(Outage)) == {"watch": 2}


class Deaf:
    """A backend that gives no hints."""

    def __init__(self, backend: FaultyBackend) -> None:
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        if name == "listen":
            raise AttributeError(name)
        return getattr(self._backend, name)


async def test_a_backend_without_hints_is_asked_once_a_second(
    faulty: Watched, recorder: Recorder, blocked: Blocked, new_worker: NewWorker
) -> None:
    async with Store(Deaf(faulty)) as store:
        await store.mailboxes.send("m", 1)
        async with running(new_worker(store, blocked)):
            await recorder.wait_for(Claimed)
            await faulty.called("look", 1)
            await store.mailboxes.interrupt("m")
            await recorder.wait_for(Withdrawn)
            assert faulty.calls["look"] <= 4


async def test_what_ends_an_entry_that_a_batch_is_taking_cancels_its_handler(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    """The entry is cancelled after the commit of the batch, and before the worker knows of it."""
    cancelled = asyncio.Event()

    async def handler(delivery: Delivery) -> None:
        async with delivery.batch() as step:
            step.mailboxes.take(delivery.entry)
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def commit(batch: Commands) -> Receipt:
        receipt = await FaultyBackend.commit(faulty, batch)
        if any(isinstance(command, Take) for command in batch):
            await FaultyBackend.commit(faulty, (Cancel(entry_id=second.entry_id),))
            await asyncio.sleep(0.1)  # so that the hint is looked at before the answer comes
        return receipt

    await faulty_store.mailboxes.send("m", 1)
    second = (await faulty_store.mailboxes.send("m", 2)).entry
    faulty.commit = commit  # type: ignore[method-assign]
    async with running(new_worker(faulty_store, handler)):
        await recorder.wait_for(Withdrawn)
        await asyncio.wait_for(cancelled.wait(), 5)
        await cancelled.wait()
