"""Taking more: a handler takes what came while it ran, and may wait for it."""

import asyncio
import threading

import pytest
from tests.marks import every_backend
from tests.worker.support import (
    DEADLINE_S,
    FaultyBackend,
    NewWorker,
    Recorder,
    advance,
    payloads_of,
    running,
    says,
    send_all,
    statuses,
    until_idle,
    until_stopped,
)

from treadle import (
    ClaimConflict,
    InvalidValue,
    MailboxEntry,
    Store,
    open_store,
)
from treadle.testing import ManualClock
from treadle.worker import (
    Claimed,
    Delivery,
    Done,
    LeaseLost,
    Retried,
    Withdrawn,
)

pytestmark = pytest.mark.usefixtures("thread")


@every_backend
async def test_a_handler_takes_what_came_meanwhile(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    async def handler(delivery: Delivery) -> None:
        assert await delivery.take() == ()
        await send_all(store, 2, 3, 4)
        assert payloads_of(await delivery.take(2)) == [2, 3]
        assert payloads_of(delivery.entries) == [1, 2, 3]
        async with delivery.batch() as step:
            step.threads.append("t", says("one answer"))
        with pytest.raises(ClaimConflict):
            await delivery.take()
        worker.stop()

    await send_all(store, 1)
    worker = new_worker(store, handler)
    await until_stopped(worker)
    assert payloads_of([each.entry for each in recorder.of(Done)]) == [1, 2, 3]
    assert (await statuses(store))[4] == ("queued", 0)


async def test_a_handler_takes_in_a_batch(store: Store, new_worker: NewWorker) -> None:
    async def handler(delivery: Delivery) -> None:
        if delivery.entry.payload != 1:
            return
        async with delivery.batch(settle=False) as step:
            step.threads.append("t", says("so far"))
            taken = step.mailboxes.take(delivery.entry, limit=5)
        assert delivery.entries == (delivery.entry, *taken.result)
        assert payloads_of(taken.result) == [2, 3]
        async with delivery.batch() as step:
            step.threads.append("t", says("all"))

    await send_all(store, 1, 2, 3)
    await until_idle(new_worker(store, handler))
    assert set((await statuses(store)).values()) == {("accepted", 1)}


async def test_some_entries_are_settled_before_the_others(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    async def handler(delivery: Delivery) -> None:
        if delivery.entry.payload != 1:
            return
        two, _ = await delivery.take(2)
        async with delivery.batch(settle=False) as step:
            step.mailboxes.ack(delivery.entry)
            step.mailboxes.dead_letter(two, error="nonsense")
        assert not delivery.settled
        assert payloads_of(await delivery.take()) == [4]
        raise ValueError("of the others")

    await send_all(store, 1, 2, 3, 4)
    await until_idle(new_worker(store, handler))
    assert await statuses(store) == {
        1: ("accepted", 1),
        2: ("dead_letter", 1),
        3: ("accepted", 2),
        4: ("accepted", 2),
    }
    assert payloads_of([each.entry for each in recorder.of(Retried)]) == [3, 4]


async def test_an_entry_at_its_last_attempt_is_worked_alone(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    seen: list[object] = []

    async def handler(delivery: Delivery) -> None:
        taken = [*await delivery.take(5), *await delivery.take(5)]
        assert not await delivery.wait_for_more(0)
        seen.append((delivery.entry.payload, payloads_of(taken)))

    worn = MailboxEntry(entry_id="worn", mailbox_id="t", payload="worn", attempt_count=2)
    await send_all(store, 1, 2)
    await store.mailboxes.enqueue(worn)
    await send_all(store, 3, 4)
    worker = new_worker(store, handler, max_attempts=3)
    first = await store.mailboxes.list_entries(limit=1)
    assert first.total == 5
    await until_idle(worker)
    assert seen == [("worn", []), (1, [2, 3, 4])]


async def test_blocking_handlers_take_and_wait(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    seen: list[object] = []

    def handler(delivery: Delivery) -> None:
        assert delivery.call(delivery.wait_for_more(60_000))
        seen.append(payloads_of(delivery.call(delivery.take(5))))
        with delivery.batch() as step:
            step.threads.append("t", says("done"))

    await send_all(store, 1, 2, 3)
    await until_idle(new_worker(store, handler))
    assert seen == [[2, 3]]


# --- waiting for more -----------------------------------------------------------------------------


@every_backend
async def test_a_handler_waits_for_more(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    """No time passes on the worker's clock: it is a hint that ends the wait."""
    waiting = asyncio.Event()
    seen: list[object] = []

    async def handler(delivery: Delivery) -> None:
        waiting.set()
        assert await delivery.wait_for_more(60_000)
        assert await delivery.wait_for_more(0)
        assert payloads_of(delivery.entries) == [1]
        seen.extend(payloads_of(await delivery.take()))

    await send_all(store, 1)
    async with running(new_worker(store, handler)):
        await waiting.wait()
        await asyncio.sleep(0.05)
        await send_all(store, 2)
        await recorder.wait_for(Done, 2)
    assert seen == [2]


@pytest.mark.parametrize("store_url", ["files", "sqlite", "postgres"], indirect=True)
async def test_a_handler_waits_for_what_others_send(
    store: Store, store_url: str, clock: ManualClock, recorder: Recorder, new_worker: NewWorker
) -> None:
    async def handler(delivery: Delivery) -> None:
        assert await delivery.wait_for_more(60_000)
        assert payloads_of(await delivery.take()) == [2]

    await send_all(store, 1)
    async with running(new_worker(store, handler)), open_store(store_url, clock=clock) as other:
        await recorder.wait_for(Claimed)
        await send_all(other, 2)
        await recorder.wait_for(Done, 2)


async def test_a_wait_for_more_ends_at_its_time(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    clock: ManualClock,
    new_worker: NewWorker,
) -> None:
    found: list[bool] = []

    async def handler(delivery: Delivery) -> None:
        found.append(await delivery.wait_for_more(10_000))

    await send_all(faulty_store, 1)
    async with running(new_worker(faulty_store, handler)):
        await recorder.wait_for(Claimed)
        for _ in range(9_999 // 3):
            await advance(clock, 3)
        assert found == []
        assert faulty.calls["commit"] < 40
        await advance(clock, 3)
        await recorder.wait_for(Done)
    assert found == [False]


async def test_a_wait_for_more_ends_when_something_is_due(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker
) -> None:
    found: list[object] = []

    async def handler(delivery: Delivery) -> None:
        if await delivery.wait_for_more(60_000):
            found.extend(payloads_of(await delivery.take(5)))

    await send_all(store, 1)
    await send_all(store, "later", delay_ms=5_000)
    async with running(new_worker(store, handler)):
        await recorder.wait_for(Claimed)
        for _ in range(49):
            await advance(clock, 100)
        assert found == []
        for _ in range(11):
            await advance(clock, 100)
        await recorder.wait_for(Done, 2)
    assert found == ["later"]


async def test_what_a_handler_has_waited_for_and_not_taken_comes_next(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    seen: list[object] = []

    async def handler(delivery: Delivery) -> None:
        seen.append([(each.payload, each.attempt_count) for each in delivery.entries])
        await delivery.wait_for_more(0)
        async with delivery.batch():
            pass

    await send_all(store, 1, 2)
    await until_idle(new_worker(store, handler))
    assert seen == [[(1, 1)], [(2, 1)]]
    assert await statuses(store) == {1: ("accepted", 1), 2: ("accepted", 1)}


async def test_what_a_handler_has_waited_for_is_not_given_once_it_has_settled(
    store: Store, new_worker: NewWorker
) -> None:
    refused: list[str] = []

    async def handler(delivery: Delivery) -> None:
        assert await delivery.wait_for_more(60_000)
        async with delivery.pause():
            pass
        for ask in (delivery.take, delivery.wait_for_more):
            with pytest.raises(ClaimConflict, match="this delivery is settled"):
                await ask(1)
            refused.append(ask.__name__)

    await send_all(store, 1, 2)
    await until_idle(new_worker(store, handler))
    assert refused == ["take", "wait_for_more"]
    left = (await store.mailboxes.list_entries()).items
    assert [(each.status, each.attempt_count) for each in left] == [("queued", 0)] * 2


async def test_what_is_cancelled_before_the_handler_takes_it_does_not_end_the_turn(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    async def handler(delivery: Delivery) -> None:
        assert await delivery.wait_for_more(0)
        await store.mailboxes.cancel(second.entry_id)
        await recorder.wait_for(Withdrawn)
        assert await delivery.take() == ()
        async with delivery.batch() as step:
            step.threads.append("t", says("done"))

    _, second = await send_all(store, 1, 2)
    await until_idle(new_worker(store, handler))
    assert await statuses(store) == {1: ("accepted", 1), 2: ("cancelled", 1)}


async def test_a_wait_for_more_ends_with_the_claim(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    ended = threading.Event()

    def handler(delivery: Delivery) -> None:
        try:
            assert not delivery.call(delivery.wait_for_more(60_000))
        finally:
            ended.set()

    await send_all(store, 1)
    async with running(new_worker(store, handler)):
        await recorder.wait_for(Claimed)
        await store.mailboxes.interrupt("t")
        await recorder.wait_for(Withdrawn)
        assert await asyncio.to_thread(ended.wait, DEADLINE_S)


@pytest.mark.parametrize("number", [1.5, "1", True, None])
async def test_a_take_and_a_wait_refuse_what_is_no_integer(
    store: Store, new_worker: NewWorker, number: int
) -> None:
    async def handler(delivery: Delivery) -> None:
        for call in (delivery.take(number), delivery.wait_for_more(number)):
            with pytest.raises(InvalidValue):
                await call

    await send_all(store, 1)
    await until_idle(new_worker(store, handler, max_attempts=1))
    assert await statuses(store) == {1: ("accepted", 1)}


async def test_a_take_without_an_answer_ends_with_the_lease(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    clock: ManualClock,
    new_worker: NewWorker,
) -> None:
    async def handler(delivery: Delivery) -> None:
        faulty.gates["commit"] = faulty.gates["renew"] = asyncio.Event()
        await delivery.take()

    await send_all(faulty_store, 1)
    async with running(new_worker(faulty_store, handler, lease_ms=300)):
        await recorder.wait_for(Claimed)
        for _ in range(20):
            await advance(clock, 100)
        await recorder.wait_for(LeaseLost)
        for gate in faulty.gates.values():
            gate.set()


async def test_what_is_taken_for_a_call_that_was_cancelled_is_kept_for_the_next(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    async def handler(delivery: Delivery) -> None:
        faulty.gates["commit"] = asyncio.Event()
        call = asyncio.create_task(delivery.take(2))
        await faulty.called("commit", calls + 1)
        call.cancel()
        faulty.gates.pop("commit").set()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert payloads_of(delivery.entries) == [1]
        assert payloads_of(await delivery.take(3)) == [2, 3, 4]

    await send_all(faulty_store, 1, 2, 3, 4)
    calls = faulty.calls["commit"]
    await until_idle(new_worker(faulty_store, handler))
    assert set((await statuses(faulty_store)).values()) == {("accepted", 1)}
