"""A worker waits for a store that is not available; neither the worker nor its work ends."""

import asyncio
import random

import pytest
from tests.backends.statements import execute, in_databases
from tests.worker.support import (
    AT_ONCE,
    Blocked,
    FaultyBackend,
    NewWorker,
    Recorder,
    advance,
    block,
    do_nothing,
    load,
    passing_time,
    return_at_once,
    running,
    says,
    start,
    texts,
    until_idle,
)

from treadle import CorruptRecord, Store, StoreUnavailable, Thread, open_store
from treadle.testing import ManualClock
from treadle.worker import Claimed, Delivery, Done, LeaseLost, Outage, Retried, Retry


def failing(faulty: FaultyBackend, operation: str, times: int, error: Exception) -> None:
    left = times

    def fail(name: str) -> None:
        nonlocal left
        if name == operation and left:
            left -= 1
            raise error

    faulty.before = fail


@pytest.mark.parametrize("operation", ["claim", "wait"])
@pytest.mark.parametrize("error", [StoreUnavailable("here", "restarting"), OSError("broken")])
async def test_a_worker_survives_an_outage_of_its_store(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    operation: str,
    error: Exception,
    new_worker: NewWorker,
    clock: ManualClock,
) -> None:
    failing(faulty, operation, 2, error)
    async with (
        running(new_worker(faulty_store, return_at_once)),
        passing_time(clock, faulty_store.mailboxes.count_entries),
    ):
        await recorder.wait_for(Outage, 2)
        await faulty_store.mailboxes.send("m", 1)
        await recorder.wait_for(Done)
    outages = recorder.of(Outage)
    assert [event.error for event in outages] == [error, error]
    assert {event.operation for event in outages} == {"claim"}
    assert all(50 <= event.retry_in_ms <= 200 for event in outages)


async def test_a_store_that_is_not_available_is_called_seldom(
    faulty: FaultyBackend, faulty_store: Store, clock: ManualClock, new_worker: NewWorker
) -> None:
    failing(faulty, "claim", 1_000, OSError("gone"))
    async with running(new_worker(faulty_store, return_at_once)):
        for _ in range(50):
            await advance(clock, 10)
        assert 3 <= faulty.calls["claim"] <= 5


async def test_a_slot_that_becomes_free_does_not_end_the_pause_of_an_outage(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    clock: ManualClock,
    new_worker: NewWorker,
) -> None:
    blocked = Blocked()
    await faulty_store.mailboxes.send("m", 1)
    async with running(new_worker(faulty_store, blocked, concurrency=2)):
        await recorder.wait_for(Claimed)
        claim_gate = faulty.gates["claim"] = asyncio.Event()
        await advance(clock, 50)  # the next poll, whose claim now waits
        failing(faulty, "claim", 1, OSError("gone"))
        blocked.free.set()
        await recorder.wait_for(Done)
        before = faulty.calls["claim"]
        claim_gate.set()
        await recorder.wait_for(Outage)
        await advance(clock, 0)
        assert faulty.calls["claim"] == before
        await advance(clock, 100)
        assert faulty.calls["claim"] > before


async def test_an_ack_is_tried_until_the_store_is_available(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    new_worker: NewWorker,
    clock: ManualClock,
) -> None:
    sent = (await faulty_store.mailboxes.send("m", 1)).entry
    failing(faulty, "commit", 2, StoreUnavailable("here", "restarting"))
    async with (
        running(new_worker(faulty_store, return_at_once)),
        passing_time(clock, faulty_store.mailboxes.count_entries),
    ):
        await recorder.wait_for(Done)
    assert [event.operation for event in recorder.of(Outage)] == ["settle", "settle"]
    assert (await load(faulty_store, sent)).attempt_count == 1


async def test_a_nack_is_tried_until_the_store_is_available(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    new_worker: NewWorker,
    clock: ManualClock,
) -> None:
    await faulty_store.mailboxes.send("m", 1)

    async def handler(delivery: Delivery) -> None:
        if delivery.entry.attempt_count == 1:
            failing(faulty, "commit", 1, OSError("broken"))
            raise ValueError

    # one slot: with more, the retry may be claimed before the event of the first claim's end
    worker = new_worker(faulty_store, handler, backoff=AT_ONCE, concurrency=1)
    async with running(worker), passing_time(clock, faulty_store.mailboxes.count_entries):
        await recorder.wait_for(Done)
    assert recorder.names() == ["Claimed", "Outage", "Retried", "Claimed", "Done"]


@pytest.mark.parametrize("fails", [False, True])
async def test_a_last_write_whose_answer_was_lost_is_recognized_by_its_effect(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    fails: bool,
    new_worker: NewWorker,
    clock: ManualClock,
) -> None:
    sent = (await faulty_store.mailboxes.send("m", 1)).entry
    left = 1

    def forget(name: str) -> None:
        nonlocal left
        if name == "commit" and left:
            left -= 1
            raise StoreUnavailable("here", "the connection was lost after the commit")

    async def handler(delivery: Delivery) -> None:
        if fails and delivery.entry.attempt_count == 1:
            raise Retry(delay_ms=3_000)

    faulty.after = forget
    async with (
        running(new_worker(faulty_store, handler)),
        passing_time(clock, faulty_store.mailboxes.count_entries),
    ):
        await recorder.wait_for(Done)
    assert not recorder.of(LeaseLost)
    assert len(recorder.of(Retried)) == fails
    assert (await load(faulty_store, sent)).status == "accepted"


@pytest.mark.parametrize("then", ["accepted", "failed", "claimed"])
async def test_what_became_of_an_entry_after_its_release_is_of_the_next_claim(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    then: str,
    new_worker: NewWorker,
    clock: ManualClock,
) -> None:
    """The answer to the release was lost, so it is tried again, on an entry of somebody else."""
    await faulty_store.mailboxes.send("m", 1)

    def forget(name: str) -> None:
        if name == "commit":
            faulty.after = do_nothing
            raise StoreUnavailable("here", "the connection was lost after the commit")

    worker = new_worker(faulty_store, block, grace_ms=0)
    task = await start(worker, recorder)
    faulty.after = forget
    worker.stop()
    await recorder.wait_for(Outage)
    [entry] = await faulty_store.mailboxes.claim(consumer="another")
    if then == "accepted":
        await faulty_store.mailboxes.ack(entry)
    elif then == "failed":
        await faulty_store.mailboxes.nack(entry, error="not yet")
    await advance(clock, 5_000)
    await task
    assert recorder.names() == ["Claimed", "Outage", "Released"]


async def test_a_batch_whose_answer_was_lost_takes_effect_once(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    await faulty_store.threads.create(Thread(id="m"))
    sent = (await faulty_store.mailboxes.send("m", 1)).entry
    left = 1

    def forget(name: str) -> None:
        nonlocal left
        if name == "commit" and left:
            left -= 1
            raise StoreUnavailable("here", "the connection was lost after the commit")

    async def handler(delivery: Delivery) -> None:
        async with delivery.batch() as step:
            step.threads.append("m", says("once"))

    faulty.after = forget
    async with running(new_worker(faulty_store, handler, backoff=AT_ONCE)):
        await recorder.wait_for(Done)
    assert await texts(faulty_store, "m") == ["once"]
    assert (await load(faulty_store, sent)).attempt_count == 1


async def test_an_entry_that_cannot_be_settled_does_not_end_the_worker(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    await faulty_store.mailboxes.send("m1", 1)
    failing(faulty, "commit", 1, CorruptRecord("e.json", "torn"))
    async with running(new_worker(faulty_store, return_at_once)):
        [event] = await recorder.wait_for(LeaseLost)
        assert "torn" in event.reason
        await faulty_store.mailboxes.send("m2", 2)
        await recorder.wait_for(Done)


async def test_a_lease_that_cannot_be_renewed_is_lost_alone(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    new_worker: NewWorker,
    clock: ManualClock,
) -> None:
    blocked = Blocked()
    for number in range(3):
        await faulty_store.mailboxes.send(f"m{number}", number)
    async with running(new_worker(faulty_store, blocked, lease_ms=300)):
        await recorder.wait_for(Claimed, 3)
        failing(faulty, "renew", 2, CorruptRecord("e.json", "torn"))  # together, and one alone
        await advance(clock, 100)
        [lost] = await recorder.wait_for(LeaseLost)
        assert "torn" in lost.reason
        await advance(clock, 250)  # the others were renewed
        blocked.free.set()
        await recorder.wait_for(Done, 2)
    assert [each.entry for each in blocked.cancelled] == [lost.entry]


async def test_a_lease_that_cannot_be_renewed_while_it_is_settled_is_not_lost(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    new_worker: NewWorker,
    clock: ManualClock,
) -> None:
    await faulty_store.mailboxes.send("m", 1)
    gate = faulty.gates["commit"] = asyncio.Event()
    failing(faulty, "renew", 1, CorruptRecord("e.json", "torn"))
    async with running(new_worker(faulty_store, return_at_once, lease_ms=300)):
        await faulty.called("commit", 1)
        await advance(clock, 100)
        await faulty.called("renew", 1)
        gate.set()
        await recorder.wait_for(Done)
    assert not recorder.of(LeaseLost)


@in_databases
async def test_a_held_entry_that_is_damaged_does_not_end_the_worker(
    store_url: str, clock: ManualClock, recorder: Recorder, new_worker: NewWorker
) -> None:
    blocked = Blocked()
    async with open_store(store_url, clock=clock) as store:
        first = (await store.mailboxes.send("m1", 1)).entry
        await store.mailboxes.send("m2", 2)
        async with running(new_worker(store, blocked)):
            await recorder.wait_for(Claimed, 2)
            where = f"WHERE entry_id = '{first.entry_id}'"
            execute(store_url, f"UPDATE entries SET attempt_count = -1 {where}")
            await advance(clock, 10_000)
            await recorder.wait_for(LeaseLost)
            blocked.free.set()
            await recorder.wait_for(Done)


async def test_until_idle_waits_for_a_store_that_is_not_available(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    new_worker: NewWorker,
    clock: ManualClock,
) -> None:
    await faulty_store.mailboxes.send("m", 1)
    failing(faulty, "claim", 2, OSError("gone"))
    async with passing_time(clock, faulty_store.mailboxes.count_entries):
        await until_idle(new_worker(faulty_store, return_at_once))
    assert len(recorder.of(Done)) == 1


@pytest.mark.parametrize("seed", range(6))
async def test_every_entry_ends_once_whatever_call_of_the_store_fails(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    seed: int,
    new_worker: NewWorker,
    clock: ManualClock,
) -> None:
    """Calls fail before they do anything, or after they have done it, as a connection does."""
    chance = random.Random(seed)
    await faulty_store.threads.create(Thread(id="m"))
    for number in range(15):
        await faulty_store.mailboxes.send("m", number)
        await faulty_store.mailboxes.send(f"m{number}", number)

    def perhaps(name: str) -> None:
        if chance.random() < 0.08:
            raise StoreUnavailable("here", "flaky")

    async def handler(delivery: Delivery) -> None:
        entry = delivery.entry
        if entry.mailbox_id == "m":
            async with delivery.batch() as step:
                step.threads.append("m", says(str(entry.payload)))

    faulty.before = faulty.after = perhaps
    worker = new_worker(faulty_store, handler, lease_ms=150, backoff=AT_ONCE, max_attempts=99)
    async with passing_time(clock, faulty_store.mailboxes.count_entries):
        await until_idle(worker)
    faulty.before = faulty.after = do_nothing
    assert (await faulty_store.mailboxes.count_entries()).accepted == 30
    assert sorted(await texts(faulty_store, "m"), key=int) == [str(n) for n in range(15)]
    assert len(recorder.of(Claimed)) >= len(recorder.of(Done))


@pytest.mark.parametrize("operation", ["claim", "renew"])
async def test_a_worker_says_what_fails_until_it_succeeds_again(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    clock: ManualClock,
    operation: str,
    new_worker: NewWorker,
) -> None:
    blocked = Blocked()
    await faulty_store.mailboxes.send("m", 1)
    worker = new_worker(faulty_store, blocked, lease_ms=3_000)
    async with running(worker):
        await recorder.wait_for(Claimed)
        assert worker.failing == {}
        error = StoreUnavailable("here", "restarting")
        failing(faulty, operation, 1, error)
        async with passing_time(clock, faulty_store.mailboxes.count_entries):
            await recorder.wait_for(Outage)
            assert worker.failing == {operation: error}
            done = faulty.done[operation]
            await faulty.until(lambda: faulty.done[operation] > done)
            await advance(clock, 1)
            assert worker.failing == {}
        blocked.free.set()
        await recorder.wait_for(Done)
