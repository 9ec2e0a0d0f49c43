"""Settling: what handlers leave at one moment is one commit, and the next ones run beside it."""

import asyncio

import pytest
from tests.marks import every_backend
from tests.worker.support import (
    DEADLINE_S,
    FaultyBackend,
    NewWorker,
    Recorder,
    return_at_once,
    running,
    settle,
    until_idle,
)

from treadle import Store, StoreClosed, StoreUnavailable
from treadle.core.claims import Ack
from treadle.worker import Claimed, Delivery, Done, Outage, Retried, Withdrawn


def acks_of(faulty: FaultyBackend) -> list[int]:
    """How many entries each commit has accepted, of those that accepted any."""
    counts = [sum(isinstance(each, Ack) for each in batch) for batch in faulty.batches]
    return [count for count in counts if count]


async def send_to_mailboxes(store: Store, count: int) -> None:
    for number in range(count):
        await store.mailboxes.send(f"m{number}", number)


async def test_handlers_that_return_at_one_moment_are_settled_in_one_commit(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    await send_to_mailboxes(faulty_store, 8)
    await until_idle(new_worker(faulty_store, return_at_once, concurrency=8))
    assert acks_of(faulty) == [8]
    assert len(recorder.of(Done)) == 8


async def test_a_worker_claims_while_it_settles(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    """It has as many entries more as it has slots, which wait to be settled."""
    await send_to_mailboxes(faulty_store, 10)
    gate = faulty.gates["commit"] = asyncio.Event()
    async with running(new_worker(faulty_store, return_at_once, concurrency=2)):
        await recorder.wait_for(Claimed, 4)
        await settle()
        assert len(recorder.of(Claimed)) == 4
        assert recorder.of(Done) == []
        gate.set()
        await recorder.wait_for(Done, 10)


async def test_no_more_handlers_run_than_there_are_slots_while_others_are_settled(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    active: set[object] = set()
    most = 0

    async def handler(delivery: Delivery) -> None:
        nonlocal most
        active.add(delivery)
        most = max(most, len(active))
        await settle()
        active.remove(delivery)

    await send_to_mailboxes(faulty_store, 20)
    await until_idle(new_worker(faulty_store, handler, concurrency=3))
    assert most == 3


@every_backend
async def test_a_lost_claim_takes_nothing_with_it_that_is_settled_together(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    begun = 0
    all_begun = asyncio.Event()

    async def handler(delivery: Delivery) -> None:
        nonlocal begun
        begun += 1
        if begun == 5:
            await store.mailboxes.interrupt("m3")
            all_begun.set()
        # so that they return before the worker hears of it
        await all_begun.wait()

    await send_to_mailboxes(store, 5)
    await until_idle(new_worker(store, handler, concurrency=5))
    [lost] = recorder.of(Withdrawn)
    assert lost.entry.mailbox_id == "m3"
    assert {event.entry.mailbox_id for event in recorder.of(Done)} == {"m0", "m1", "m2", "m4"}
    assert (await store.mailboxes.count_entries()).accepted == 4


@every_backend
async def test_a_handler_that_fails_beside_others_is_retried_alone(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    async def handler(delivery: Delivery) -> None:
        if (delivery.entry.payload, delivery.entry.attempt_count) == (1, 1):
            raise ValueError("not yet")

    await send_to_mailboxes(store, 4)
    await until_idle(new_worker(store, handler, concurrency=4))
    [retried] = recorder.of(Retried)
    assert retried.entry.payload == 1
    assert sorted(int(event.entry.payload) for event in recorder.of(Done)) == [0, 1, 2, 3]


@pytest.mark.parametrize("times", [1, 3])
async def test_what_is_settled_together_survives_an_outage(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    new_worker: NewWorker,
    times: int,
) -> None:
    failures = times

    def fail(name: str) -> None:
        nonlocal failures
        if name == "commit" and failures:
            failures -= 1
            raise StoreUnavailable("here", "gone")

    await send_to_mailboxes(faulty_store, 4)
    faulty.before = fail
    await until_idle(new_worker(faulty_store, return_at_once, concurrency=4, clock=None))
    assert len(recorder.of(Done)) == 4
    assert len(recorder.of(Outage)) == times - 1  # the first try of each by itself tells nothing


async def test_an_answer_that_is_lost_settles_all_the_same(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    def lose(name: str) -> None:
        if name == "commit":
            faulty.after = lambda name: None
            raise StoreUnavailable("here", "the answer was lost")

    await send_to_mailboxes(faulty_store, 4)
    faulty.after = lose
    await until_idle(new_worker(faulty_store, return_at_once, concurrency=4))
    assert len(recorder.of(Done)) == 4
    assert recorder.names().count("LeaseLost") == 0


async def test_a_store_that_is_closed_as_entries_are_settled_ends_the_worker(
    faulty: FaultyBackend, faulty_store: Store, new_worker: NewWorker
) -> None:
    def closed(name: str) -> None:
        if name == "commit":
            raise StoreClosed

    await send_to_mailboxes(faulty_store, 2)
    faulty.before = closed
    with pytest.raises(StoreClosed):
        async with asyncio.timeout(DEADLINE_S):
            await new_worker(faulty_store, return_at_once).run()
    faulty.before = lambda name: None
