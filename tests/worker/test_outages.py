"""A store that is away for a while is waited for; it ends neither the worker nor the work."""

import asyncio
import random

import pytest
from tests.worker.support import AT_ONCE, FaultyBackend, Recorder, load, running, says, texts

from treadle import CorruptRecord, Store, StoreUnavailable, Thread
from treadle.worker import Claimed, Delivery, Done, LeaseLost, Outage, Retried, Retry, Worker


async def nothing(delivery: Delivery) -> None:
    pass


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
async def test_a_worker_outlives_a_store_that_is_away(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    operation: str,
    error: Exception,
) -> None:
    failing(faulty, operation, 2, error)
    async with running(Worker(faulty_store, nothing, on_event=recorder)):
        await recorder.wait_for(Outage, 2)
        await faulty_store.mailboxes.send("m", 1)
        await recorder.wait_for(Done)
    outages = recorder.of(Outage)
    assert [event.error for event in outages] == [error, error]
    assert {event.operation for event in outages} == {"claim"}
    assert all(50 <= event.retry_in_ms <= 200 for event in outages)


async def test_a_store_that_is_away_is_not_asked_in_haste(
    faulty: FaultyBackend, faulty_store: Store
) -> None:
    failing(faulty, "claim", 1_000, OSError("gone"))
    async with running(Worker(faulty_store, nothing)):
        await asyncio.sleep(0.5)
    assert 2 <= faulty.calls["claim"] <= 5


async def test_the_ack_is_tried_until_the_store_is_back(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder
) -> None:
    sent = await faulty_store.mailboxes.send("m", 1)
    failing(faulty, "commit", 2, StoreUnavailable("here", "restarting"))
    async with running(Worker(faulty_store, nothing, on_event=recorder)):
        await recorder.wait_for(Done)
    assert [event.operation for event in recorder.of(Outage)] == ["settle", "settle"]
    assert (await load(faulty_store, sent)).attempt_count == 1


async def test_the_nack_is_tried_until_the_store_is_back(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder
) -> None:
    await faulty_store.mailboxes.send("m", 1)

    async def handler(delivery: Delivery) -> None:
        if delivery.entry.attempt_count == 1:
            failing(faulty, "commit", 1, OSError("broken"))
            raise ValueError

    async with running(Worker(faulty_store, handler, backoff=AT_ONCE, on_event=recorder)):
        await recorder.wait_for(Done)
    assert recorder.names() == ["Claimed", "Outage", "Retried", "Claimed", "Done"]


@pytest.mark.parametrize("fails", [False, True])
async def test_a_last_write_whose_answer_was_lost_is_known_by_its_effect(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder, fails: bool
) -> None:
    sent = await faulty_store.mailboxes.send("m", 1)
    left = 1

    def forget(name: str) -> None:
        nonlocal left
        if name == "commit" and left:
            left -= 1
            raise StoreUnavailable("here", "the connection was lost after the commit")

    async def handler(delivery: Delivery) -> None:
        if fails and delivery.entry.attempt_count == 1:
            raise Retry(delay_ms=300)

    faulty.after = forget
    async with running(Worker(faulty_store, handler, on_event=recorder)):
        await recorder.wait_for(Done)
    assert not recorder.of(LeaseLost)
    assert len(recorder.of(Retried)) == fails
    assert (await load(faulty_store, sent)).status == "accepted"


async def test_a_batch_whose_answer_was_lost_takes_effect_once(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder
) -> None:
    await faulty_store.threads.create(Thread(id="m"))
    sent = await faulty_store.mailboxes.send("m", 1)
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
    async with running(Worker(faulty_store, handler, backoff=AT_ONCE, on_event=recorder)):
        await recorder.wait_for(Done)
    assert await texts(faulty_store, "m") == ["once"]
    assert (await load(faulty_store, sent)).attempt_count == 1


async def test_an_entry_that_cannot_be_settled_does_not_end_the_worker(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder
) -> None:
    await faulty_store.mailboxes.send("m1", 1)
    failing(faulty, "commit", 1, CorruptRecord("e.json", "torn"))
    async with running(Worker(faulty_store, nothing, on_event=recorder)):
        [event] = await recorder.wait_for(LeaseLost)
        assert "torn" in event.reason
        await faulty_store.mailboxes.send("m2", 2)
        await recorder.wait_for(Done)


async def test_until_idle_waits_for_a_store_that_is_away(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder
) -> None:
    await faulty_store.mailboxes.send("m", 1)
    failing(faulty, "claim", 2, OSError("gone"))
    await Worker(faulty_store, nothing, on_event=recorder).run(until_idle=True)
    assert len(recorder.of(Done)) == 1


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_fails_at_random_every_entry_ends_once(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder, seed: int
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
    worker = Worker(
        faulty_store, handler, lease_ms=150, backoff=AT_ONCE, max_attempts=99, on_event=recorder
    )
    async with asyncio.timeout(20):
        await worker.run(until_idle=True)
    faulty.before = faulty.after = lambda name: None
    assert (await faulty_store.mailboxes.stats()).accepted == 30
    assert sorted(await texts(faulty_store, "m"), key=int) == [str(n) for n in range(15)]
    assert len(recorder.of(Claimed)) >= len(recorder.of(Done))
