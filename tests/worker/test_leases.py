"""Leases: renewed together, lost only when they are over, and fenced once they are lost."""

import asyncio
import time

import pytest
from tests.marks import every_backend
from tests.worker.support import (
    PATIENCE_S,
    FaultyBackend,
    Recorder,
    eventually,
    load,
    running,
    says,
    texts,
)

import treadle
from treadle import ClaimConflict, Store, StoreUnavailable, Thread
from treadle.core.commands import ExtendLease
from treadle.worker import (
    Claimed,
    Delivery,
    Done,
    LeaseLost,
    Outage,
    Released,
    Withdrawn,
    Worker,
)


class Long:
    """A handler that goes on until it is let go or cancelled."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.deliveries: list[Delivery] = []
        self.cancelled: list[Delivery] = []

    async def __call__(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        try:
            await self.let_go.wait()
        except asyncio.CancelledError:
            assert delivery.cancelled
            self.cancelled.append(delivery)
            raise


@pytest.fixture
async def long() -> Long:
    return Long()


@every_backend
async def test_a_lease_is_renewed_for_as_long_as_the_handler_runs(
    store: Store, recorder: Recorder, long: Long
) -> None:
    await store.mailboxes.send("m", 1)
    async with running(Worker(store, long, lease_ms=400, on_event=recorder)):
        await recorder.wait_for(Claimed)
        until = time.monotonic() + 0.6
        while time.monotonic() < until:
            assert await store.mailboxes.claim(consumer="thief") == ()
            await asyncio.sleep(0.01)
        long.let_go.set()
        await recorder.wait_for(Done)
    assert recorder.names() == ["Claimed", "Done"]


async def test_all_leases_are_renewed_in_one_write_at_a_third_of_the_lease(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder, long: Long
) -> None:
    for number in range(5):
        await faulty_store.mailboxes.send(f"m{number}", number)
    async with running(Worker(faulty_store, long, lease_ms=300, on_event=recorder)):
        await recorder.wait_for(Claimed, 5)
        await asyncio.sleep(0.35)
        long.let_go.set()
        await recorder.wait_for(Done, 5)
    renewals = [batch for batch in faulty.batches if all(isinstance(c, ExtendLease) for c in batch)]
    assert 2 <= len(renewals) <= 4
    assert all(len(batch) == 5 for batch in renewals)


async def test_a_worker_that_holds_nothing_renews_nothing(
    faulty: FaultyBackend, faulty_store: Store, long: Long
) -> None:
    async with running(Worker(faulty_store, long, lease_ms=30)):
        await asyncio.sleep(0.1)
    assert faulty.calls["renew"] == 0


@every_backend
async def test_an_interrupt_cancels_the_handler_and_it_can_write_nothing(
    store: Store, recorder: Recorder
) -> None:
    await store.threads.create(Thread(id="m"))
    await store.mailboxes.send("m", 1)
    refused: list[BaseException] = []

    async def handler(delivery: Delivery) -> None:
        if delivery.entry.payload == 2:
            return
        try:
            await asyncio.sleep(60)
        finally:
            try:
                async with delivery.batch() as step:
                    step.threads.append("m", says("never"))
            except ClaimConflict as error:
                refused.append(error)

    async with running(Worker(store, handler, lease_ms=1200, on_event=recorder)):
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
async def test_between_an_interrupt_and_its_notice_nothing_can_be_written(
    store: Store, recorder: Recorder
) -> None:
    """The fence does not depend on the heartbeat, which here never comes."""
    await store.threads.create(Thread(id="m"))
    await store.mailboxes.send("m", 1)

    async def handler(delivery: Delivery) -> None:
        await store.mailboxes.interrupt("m")
        async with delivery.batch() as step:
            step.threads.append("m", says("never"))

    async with running(Worker(store, handler, on_event=recorder)):
        await recorder.wait_for(Withdrawn)
    assert recorder.names() == ["Claimed", "Withdrawn"]
    assert await texts(store, "m") == []


async def test_a_cancelled_entry_cancels_its_handler(
    store: Store, recorder: Recorder, long: Long
) -> None:
    sent = await store.mailboxes.send("m", 1)
    async with running(Worker(store, long, lease_ms=600, on_event=recorder)):
        await recorder.wait_for(Claimed)
        await store.mailboxes.cancel(sent.entry_id)
        [event] = await recorder.wait_for(Withdrawn)
        await eventually(lambda: bool(long.cancelled))
    assert event.status == "cancelled"


async def test_a_claim_taken_by_another_cancels_the_handler(recorder: Recorder, long: Long) -> None:
    now = 1_000_000
    async with treadle.open_store("memory:", clock=lambda: now) as store:
        sent = await store.mailboxes.send("m", 1)
        async with running(Worker(store, long, lease_ms=90, on_event=recorder)):
            await recorder.wait_for(Claimed)
            now += 3_600_000
            [stolen] = await store.mailboxes.claim(consumer="thief")
            await recorder.wait_for(LeaseLost)
            await eventually(lambda: bool(long.cancelled))
        assert await load(store, sent) == stolen
    assert recorder.names() == ["Claimed", "LeaseLost"]


async def test_work_finished_after_the_lease_was_taken_is_not_acked(recorder: Recorder) -> None:
    now = 1_000_000
    async with treadle.open_store("memory:", clock=lambda: now) as store:
        sent = await store.mailboxes.send("m", 1)
        stolen = sent

        async def handler(delivery: Delivery) -> None:
            nonlocal now, stolen
            now += 3_600_000
            [stolen] = await store.mailboxes.claim(consumer="thief")

        async with running(Worker(store, handler, on_event=recorder)):
            await recorder.wait_for(LeaseLost)
        assert await load(store, sent) == stolen
    assert recorder.names() == ["Claimed", "LeaseLost"]


@pytest.mark.parametrize("error", [StoreUnavailable("here", "restarting"), OSError("broken pipe")])
async def test_renewals_outlive_an_outage_shorter_than_the_lease(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    long: Long,
    error: Exception,
) -> None:
    sent = await faulty_store.mailboxes.send("m", 1)

    def fail(name: str) -> None:
        if name == "renew" and faulty.calls["renew"] <= 3:
            raise error

    faulty.before = fail
    async with running(Worker(faulty_store, long, lease_ms=600, on_event=recorder)):
        await recorder.wait_for(Claimed)
        await eventually(lambda: faulty.calls["renew"] >= 5)
        long.let_go.set()
        await recorder.wait_for(Done)
    assert not recorder.of(LeaseLost)
    assert {event.operation for event in recorder.of(Outage)} == {"renew"}
    assert len(recorder.of(Outage)) == 3
    assert (await load(faulty_store, sent)).status == "accepted"


@pytest.mark.parametrize("fault", ["error", "hang"])
async def test_a_lease_is_lost_when_it_is_over_and_not_before(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder, long: Long, fault: str
) -> None:
    await faulty_store.mailboxes.send("m", 1)
    if fault == "hang":
        faulty.gates["renew"] = asyncio.Event()

    def fail(name: str) -> None:
        if name in ("renew", "load"):
            raise StoreUnavailable("here", "gone")

    faulty.before = fail
    async with running(Worker(faulty_store, long, lease_ms=300, on_event=recorder)):
        await recorder.wait_for(Claimed)
        began = time.monotonic()
        [event] = await recorder.wait_for(LeaseLost)
        lasted = time.monotonic() - began
        faulty.before = lambda name: None
        faulty.gates.clear()
        await eventually(lambda: bool(long.cancelled))
        long.let_go.set()
    assert 0.27 < lasted < PATIENCE_S
    assert event.reason == "it ran out while the store did not answer"


@pytest.mark.parametrize("lease_ms", [60_000, 300])
async def test_a_write_may_take_as_long_as_the_lease_holds_renewals_included(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    lease_ms: int,
) -> None:
    monkeypatch.setattr("treadle.worker.lease._LEAST_WRITE_S", 0.001)
    await faulty_store.mailboxes.send("m", 1)
    gate = asyncio.Event()

    async def handler(delivery: Delivery) -> None:
        faulty.gates["commit"] = gate

    async with running(Worker(faulty_store, handler, lease_ms=lease_ms, on_event=recorder)):
        await recorder.wait_for(Claimed)
        await asyncio.sleep(0.6)
        gate.set()
        await recorder.wait_for(Done)
    assert recorder.names() == ["Claimed", "Done"]


async def test_one_lost_lease_leaves_the_others_alone(
    store: Store, recorder: Recorder, long: Long
) -> None:
    for number in range(4):
        await store.mailboxes.send(f"m{number}", number)
    async with running(Worker(store, long, lease_ms=400, on_event=recorder)):
        await recorder.wait_for(Claimed, 4)
        await store.mailboxes.interrupt("m2")
        await recorder.wait_for(Withdrawn)
        await asyncio.sleep(0.1)
        long.let_go.set()
        await recorder.wait_for(Done, 3)
    assert [delivery.entry.mailbox_id for delivery in long.cancelled] == ["m2"]


async def test_a_handler_that_resists_its_cancellation_settles_nothing(
    store: Store, recorder: Recorder
) -> None:
    sent = await store.mailboxes.send("m", 1)

    async def handler(delivery: Delivery) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return

    async with running(Worker(store, handler, lease_ms=600, on_event=recorder)):
        await recorder.wait_for(Claimed)
        await store.mailboxes.interrupt("m")
        await recorder.wait_for(Withdrawn)
    assert (await load(store, sent)).status == "superseded"
    assert not recorder.of(Done)
    assert not recorder.of(Released)


async def test_a_handler_that_blocks_the_event_loop_past_its_lease_keeps_it_if_nobody_wants_it(
    store: Store, recorder: Recorder
) -> None:
    sent = await store.mailboxes.send("m", 1)

    async def handler(delivery: Delivery) -> None:
        time.sleep(0.2)  # noqa: ASYNC251
        await asyncio.sleep(0.05)

    async with running(Worker(store, handler, concurrency=1, lease_ms=120, on_event=recorder)):
        await recorder.wait_for(Done)
    assert recorder.names() == ["Claimed", "Done"]
    assert (await load(store, sent)).attempt_count == 1
