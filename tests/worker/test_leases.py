"""Leases: renewed together, lost only once they have ended, and fenced once they are lost."""

import asyncio

import pytest
from tests.marks import every_backend
from tests.worker.support import (
    Blocked,
    FaultyBackend,
    NewWorker,
    Recorder,
    advance,
    block,
    do_nothing,
    load,
    return_at_once,
    running,
    says,
    texts,
    until_renewed,
)

from treadle import ClaimConflict, Store, StoreUnavailable, Thread
from treadle.core.claims import ExtendLease
from treadle.testing import ManualClock
from treadle.worker import Claimed, Delivery, Done, LeaseLost, Outage, Released, Withdrawn


@pytest.fixture
async def blocked() -> Blocked:
    return Blocked()


@every_backend
async def test_a_lease_is_renewed_for_as_long_as_the_handler_runs(
    store: Store,
    recorder: Recorder,
    clock: ManualClock,
    blocked: Blocked,
    new_worker: NewWorker,
) -> None:
    sent = (await store.mailboxes.send("m", 1)).entry
    async with running(new_worker(store, blocked, lease_ms=3_000)):
        await recorder.wait_for(Claimed)
        for _ in range(5):
            await until_renewed(store, clock, sent)
            assert await store.mailboxes.claim(consumer="thief") == ()
        blocked.free.set()
        await recorder.wait_for(Done)
    assert recorder.names() == ["Claimed", "Done"]


async def test_all_leases_are_renewed_in_one_write_at_a_third_of_the_lease(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    clock: ManualClock,
    blocked: Blocked,
    new_worker: NewWorker,
) -> None:
    for number in range(5):
        await faulty_store.mailboxes.send(f"m{number}", number)
    async with running(new_worker(faulty_store, blocked, lease_ms=300)):
        await recorder.wait_for(Claimed, 5)
        await advance(clock, 99)
        assert faulty.done["renew"] == 0
        await advance(clock, 1)
        assert faulty.done["renew"] == 1
        await advance(clock, 100)
        assert faulty.done["renew"] == 2
        blocked.free.set()
        await recorder.wait_for(Done, 5)
    renewals = [batch for batch in faulty.batches if isinstance(batch[0], ExtendLease)]
    assert [len(batch) for batch in renewals] == [5, 5]


async def test_a_worker_that_holds_nothing_renews_nothing(
    faulty: FaultyBackend, faulty_store: Store, clock: ManualClock, new_worker: NewWorker
) -> None:
    async with running(new_worker(faulty_store, return_at_once, lease_ms=300)):
        for _ in range(10):
            await advance(clock, 100)
    assert faulty.calls["renew"] == 0


async def test_an_interrupt_cancels_the_handler_and_it_can_write_nothing(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker
) -> None:
    await store.threads.create(Thread(id="m"))
    await store.mailboxes.send("m", 1)
    refused: list[BaseException] = []

    async def handler(delivery: Delivery) -> None:
        if delivery.entry.payload == 2:
            return
        try:
            await block(delivery)
        finally:
            try:
                async with delivery.batch() as step:
                    step.threads.append("m", says("never"))
            except ClaimConflict as error:
                refused.append(error)

    async with running(new_worker(store, handler, lease_ms=300)):
        await recorder.wait_for(Claimed)
        await store.mailboxes.interrupt("m")
        await store.mailboxes.send("m", 2)
        [event] = await recorder.wait_for(Withdrawn)
        await recorder.wait_for(Done)
    assert event.status == "superseded"
    assert len(refused) == 1
    assert await texts(store, "m") == []
    assert not recorder.of(LeaseLost)


@every_backend
async def test_a_handler_can_write_nothing_even_before_its_worker_notices_an_interrupt(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    """The fence does not depend on the heartbeat, which never comes here."""
    await store.threads.create(Thread(id="m"))
    await store.mailboxes.send("m", 1)

    async def handler(delivery: Delivery) -> None:
        await store.mailboxes.interrupt("m")
        async with delivery.batch() as step:
            step.threads.append("m", says("never"))

    async with running(new_worker(store, handler)):
        await recorder.wait_for(Withdrawn)
    assert recorder.names() == ["Claimed", "Withdrawn"]
    assert await texts(store, "m") == []


async def test_cancelling_an_entry_cancels_its_handler(
    store: Store,
    recorder: Recorder,
    clock: ManualClock,
    blocked: Blocked,
    new_worker: NewWorker,
) -> None:
    sent = (await store.mailboxes.send("m", 1)).entry
    async with running(new_worker(store, blocked, lease_ms=300)):
        await recorder.wait_for(Claimed)
        await store.mailboxes.cancel(sent.entry_id)
        await advance(clock, 100)
        assert len(blocked.cancelled) == 1
    [event] = recorder.of(Withdrawn)
    assert event.status == "cancelled"


async def test_a_claim_by_another_worker_cancels_the_handler(
    store: Store,
    recorder: Recorder,
    clock: ManualClock,
    blocked: Blocked,
    new_worker: NewWorker,
) -> None:
    sent = (await store.mailboxes.send("m", 1)).entry
    async with running(new_worker(store, blocked, lease_ms=300)):
        await recorder.wait_for(Claimed)
        clock.now += 3_600_000  # a leap, as when the machine slept: no renewal comes in time
        [stolen] = await store.mailboxes.claim(consumer="thief")
        await recorder.wait_for(LeaseLost)
        await blocked.any_cancelled.wait()
    assert await load(store, sent) == stolen
    assert recorder.names() == ["Claimed", "LeaseLost"]


async def test_a_handler_that_returns_after_its_lease_was_taken_is_not_acked(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker
) -> None:
    stolen = sent = (await store.mailboxes.send("m", 1)).entry

    async def handler(delivery: Delivery) -> None:
        nonlocal stolen
        clock.now += 3_600_000
        [stolen] = await store.mailboxes.claim(consumer="thief")

    async with running(new_worker(store, handler)):
        await recorder.wait_for(LeaseLost)
    assert await load(store, sent) == stolen
    assert recorder.names() == ["Claimed", "LeaseLost"]


@pytest.mark.parametrize("error", [StoreUnavailable("here", "restarting"), OSError("broken pipe")])
async def test_a_lease_survives_an_outage_that_is_shorter_than_it(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    clock: ManualClock,
    blocked: Blocked,
    new_worker: NewWorker,
    error: Exception,
) -> None:
    sent = (await faulty_store.mailboxes.send("m", 1)).entry

    def fail(name: str) -> None:
        if name == "renew" and faulty.calls["renew"] <= 3:
            raise error

    faulty.before = fail
    async with running(new_worker(faulty_store, blocked, lease_ms=600)):
        await recorder.wait_for(Claimed)
        for _ in range(60):
            await advance(clock, 20)
        assert faulty.calls["renew"] >= 5
        blocked.free.set()
        await recorder.wait_for(Done)
    assert not recorder.of(LeaseLost)
    assert [event.operation for event in recorder.of(Outage)] == ["renew"] * 3
    assert (await load(faulty_store, sent)).status == "accepted"


@pytest.mark.parametrize("fault", ["error", "hang"])
async def test_a_lease_that_cannot_be_renewed_is_lost_when_it_ends_and_not_before(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    clock: ManualClock,
    blocked: Blocked,
    new_worker: NewWorker,
    fault: str,
) -> None:
    await faulty_store.mailboxes.send("m", 1)
    if fault == "hang":
        faulty.gates["renew"] = asyncio.Event()

    def fail(name: str) -> None:
        if name in ("renew", "load"):
            raise StoreUnavailable("here", "gone")

    faulty.before = fail
    async with running(new_worker(faulty_store, blocked, lease_ms=300)):
        await recorder.wait_for(Claimed)
        for _ in range(299):
            await advance(clock, 1)
        assert recorder.of(LeaseLost) == []
        await advance(clock, 1)
        [event] = recorder.of(LeaseLost)
        assert len(blocked.cancelled) == 1
        faulty.before = do_nothing
        faulty.gates.clear()
        blocked.free.set()
    assert event.reason == "it ran out while the store did not answer"


@pytest.mark.parametrize("lease_ms", [60_000, 300])
async def test_a_write_may_take_as_long_as_the_lease_holds_renewals_included(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    clock: ManualClock,
    new_worker: NewWorker,
    lease_ms: int,
) -> None:
    await faulty_store.mailboxes.send("m", 1)
    gate = asyncio.Event()

    async def handler(delivery: Delivery) -> None:
        faulty.gates["commit"] = gate

    async with running(new_worker(faulty_store, handler, lease_ms=lease_ms)):
        await recorder.wait_for(Claimed)
        for _ in range(12):
            await advance(clock, 100)
        assert recorder.names() == ["Claimed"]
        gate.set()
        await recorder.wait_for(Done)
    assert recorder.names() == ["Claimed", "Done"]


async def test_a_last_write_has_half_a_second_even_if_its_lease_ends_sooner(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    new_worker: NewWorker,
) -> None:
    """Only the store, by its own clock, can say whether the claim is still held."""
    of_worker = ManualClock()
    await faulty_store.mailboxes.send("m", 1)
    gate = asyncio.Event()

    def fail(name: str) -> None:
        if name == "renew":
            raise StoreUnavailable("here", "gone")

    async def handler(delivery: Delivery) -> None:
        faulty.before = fail
        faulty.gates["commit"] = gate

    worker = new_worker(faulty_store, handler, concurrency=1, lease_ms=300, clock=of_worker)
    async with running(worker):
        await recorder.wait_for(Claimed)
        for _ in range(49):
            await advance(of_worker, 10)
        gate.set()
        await recorder.wait_for(Done)
    assert not recorder.of(LeaseLost)


async def test_losing_one_lease_leaves_the_others_alone(
    store: Store,
    recorder: Recorder,
    clock: ManualClock,
    blocked: Blocked,
    new_worker: NewWorker,
) -> None:
    for number in range(4):
        await store.mailboxes.send(f"m{number}", number)
    async with running(new_worker(store, blocked, lease_ms=300)):
        await recorder.wait_for(Claimed, 4)
        await store.mailboxes.interrupt("m2")
        for _ in range(4):
            await advance(clock, 100)
        assert len(recorder.of(Withdrawn)) == 1
        blocked.free.set()
        await recorder.wait_for(Done, 3)
    assert [delivery.entry.mailbox_id for delivery in blocked.cancelled] == ["m2"]


async def test_a_handler_that_ignores_its_cancellation_settles_nothing(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker
) -> None:
    sent = (await store.mailboxes.send("m", 1)).entry

    async def handler(delivery: Delivery) -> None:
        try:
            await block(delivery)
        except asyncio.CancelledError:
            return

    async with running(new_worker(store, handler, lease_ms=300)):
        await recorder.wait_for(Claimed)
        await store.mailboxes.interrupt("m")
        await advance(clock, 100)
    assert (await load(store, sent)).status == "superseded"
    assert not recorder.of(Done)
    assert not recorder.of(Released)


async def test_a_handler_that_blocks_the_event_loop_keeps_its_ended_lease_if_nobody_claimed_it(
    store: Store,
    recorder: Recorder,
    clock: ManualClock,
    blocked: Blocked,
    new_worker: NewWorker,
) -> None:
    sent = (await store.mailboxes.send("m", 1)).entry
    async with running(new_worker(store, blocked, concurrency=1, lease_ms=120)):
        await recorder.wait_for(Claimed)
        await advance(clock, 200)  # at once, with no turn of the event loop in between
        assert recorder.names() == ["Claimed"]
        lease_until = (await load(store, sent)).lease_until
        assert lease_until == clock.now + 120
        blocked.free.set()
        await recorder.wait_for(Done)
    assert recorder.names() == ["Claimed", "Done"]
    assert (await load(store, sent)).attempt_count == 1
