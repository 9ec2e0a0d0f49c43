"""Stopping: claim nothing more, let handlers finish, release the rest, leave no task behind."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable

import pytest
from tests.marks import every_backend
from tests.worker.support import (
    DEADLINE_S,
    Blocked,
    FaultyBackend,
    NewWorker,
    Recorder,
    advance,
    block,
    load,
    return_at_once,
    running,
    says,
    settle,
    start,
    texts,
)

import treadle
from treadle import Store, StoreUnavailable, Thread
from treadle.testing import ManualClock
from treadle.worker import Claimed, Delivery, Done, Handler, LeaseLost, Released, Retried


async def test_an_idle_worker_stops_at_once(store: Store, new_worker: NewWorker) -> None:
    async with running(new_worker(store, block)) as task:
        await settle()
        assert not task.done()


async def test_stopping_before_running_ends_the_run_at_once(
    store: Store, new_worker: NewWorker
) -> None:
    await store.mailboxes.send("m", 1)
    worker = new_worker(store, block)
    worker.stop()
    await worker.run()
    assert (await store.mailboxes.count_entries()).queued == 1


async def test_a_running_handler_may_finish_within_the_grace_time(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    sent = (await store.mailboxes.send("m", 1)).entry
    free = asyncio.Event()

    async def handler(delivery: Delivery) -> None:
        await free.wait()

    worker = new_worker(store, handler)
    task = await start(worker, recorder)
    worker.stop()
    late = (await store.mailboxes.send("m2", "too late")).entry
    assert not task.done()
    free.set()
    await task
    assert (await load(store, sent)).status == "accepted"
    assert (await load(store, late)).status == "queued"
    assert len(recorder.of(Claimed)) == len(recorder.of(Done)) == 1


async def test_leases_are_renewed_while_running_handlers_finish(
    store: Store, recorder: Recorder, new_worker: NewWorker, clock: ManualClock
) -> None:
    sent = (await store.mailboxes.send("m", 1)).entry

    blocked = Blocked()
    worker = new_worker(store, blocked, lease_ms=300)
    task = await start(worker, recorder)
    worker.stop()
    for _ in range(5):
        await advance(clock, 100)
        assert await store.mailboxes.claim(consumer="thief") == ()
    blocked.free.set()
    await task
    assert (await load(store, sent)).status == "accepted"
    assert recorder.names() == ["Claimed", "Done"]


@every_backend
async def test_a_handler_that_does_not_finish_is_cancelled_and_its_attempt_does_not_count(
    store: Store, recorder: Recorder, new_worker: NewWorker, clock: ManualClock
) -> None:
    sent = (await store.mailboxes.send("m", 1)).entry
    worker = new_worker(store, block, grace_ms=30)
    task = await start(worker, recorder)
    worker.stop()
    await advance(clock, 29)
    assert recorder.names() == ["Claimed"]
    await advance(clock, 1)
    await task
    entry = await load(store, sent)
    assert (entry.status, entry.attempt_count, entry.last_error) == ("queued", 0, None)
    assert entry.available_at == sent.available_at
    assert recorder.names() == ["Claimed", "Released"]


async def test_an_entry_is_released_even_if_its_handler_fails_as_it_is_cancelled(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    sent = (await store.mailboxes.send("m", 1)).entry

    async def handler(delivery: Delivery) -> None:
        try:
            await block(delivery)
        finally:
            raise ConnectionError("cut off")

    worker = new_worker(store, handler, grace_ms=0)
    task = await start(worker, recorder)
    worker.stop()
    await task
    assert (await load(store, sent)).attempt_count == 0
    assert recorder.names() == ["Claimed", "Released"]


async def test_a_handler_that_commits_as_it_is_cancelled_is_done(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    await store.threads.create(Thread(id="m"))
    sent = (await store.mailboxes.send("m", 1)).entry

    async def handler(delivery: Delivery) -> None:
        try:
            await block(delivery)
        except asyncio.CancelledError:
            async with delivery.batch() as step:
                step.threads.append("m", says("in short"))

    worker = new_worker(store, handler, grace_ms=0)
    task = await start(worker, recorder)
    worker.stop()
    await task
    assert (await load(store, sent)).status == "accepted"
    assert await texts(store, "m") == ["in short"]
    assert recorder.names() == ["Claimed", "Done"]


@pytest.mark.parametrize("how", ["cancel", "timeout"])
async def test_cancelling_the_run_is_as_clean_as_stopping_it(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker, how: str
) -> None:
    quick = (await store.mailboxes.send("quick", 1)).entry
    slow = (await store.mailboxes.send("slow", 2)).entry
    blocked = Blocked()
    worker = new_worker(
        store, lambda d: blocked(d) if d.entry.mailbox_id == "quick" else block(d), grace_ms=100
    )
    scope = asyncio.timeout(None)

    async def run() -> None:
        async with scope:
            await worker.run()

    task = asyncio.create_task(run())
    await recorder.wait_for(Claimed, 2)
    if how == "cancel":
        task.cancel()
    else:
        scope.reschedule(0)
    await advance(clock, 50)
    blocked.free.set()
    await recorder.wait_for(Done)
    await advance(clock, 50)
    with pytest.raises(asyncio.CancelledError if how == "cancel" else TimeoutError):
        await task
    assert (await load(store, quick)).status == "accepted"
    assert (await load(store, slow)).attempt_count == 0
    assert len(recorder.of(Released)) == 1


async def test_cancelling_again_and_again_loses_nothing(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker
) -> None:
    sent = [await store.mailboxes.send(f"m{number}", number) for number in range(6)]
    worker = new_worker(store, block, grace_ms=50)
    task = await start(worker, recorder, 6)
    while not task.done():
        task.cancel()
        clock.now += 1
        await asyncio.sleep(0)
    assert task.cancelled()
    for each in sent:
        assert (await load(store, each.entry)).status == "queued"
    assert len(recorder.of(Released)) == 6


async def test_a_claim_under_way_at_a_stop_is_released_at_once(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    for number in range(3):
        await faulty_store.mailboxes.send(f"m{number}", number)
    gate = faulty.gates["claim"] = asyncio.Event()
    worker = new_worker(faulty_store, block)
    task = asyncio.create_task(worker.run())
    await faulty.called("claim", 1)
    worker.stop()
    await settle()
    gate.set()
    await task
    page = await faulty_store.mailboxes.list_entries(status="queued")
    assert [entry.attempt_count for entry in page.items] == [0, 0, 0]
    assert recorder.names() == ["Released"] * 3


async def test_a_claim_under_way_at_a_cancellation_is_released_at_once(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    await faulty_store.mailboxes.send("m", 1)
    gate = faulty.gates["claim"] = asyncio.Event()
    task = asyncio.create_task(new_worker(faulty_store, block).run())
    await faulty.called("claim", 1)
    task.cancel()
    await settle()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recorder.names() == ["Released"]
    assert (await faulty_store.mailboxes.count_entries()).queued == 1


async def test_the_last_write_is_shielded_from_cancellation(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    sent = (await faulty_store.mailboxes.send("m", 1)).entry
    gate = asyncio.Event()

    async def handler(delivery: Delivery) -> None:
        faulty.gates["commit"] = gate

    task = asyncio.create_task(new_worker(faulty_store, handler, grace_ms=0).run())
    await faulty.called("commit", 2)  # the send, and now the ack
    for _ in range(5):
        task.cancel()
        await settle()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await load(faulty_store, sent)).status == "accepted"
    assert recorder.names() == ["Claimed", "Done"]


async def test_a_batch_under_way_is_shielded_from_cancellation(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    await faulty_store.threads.create(Thread(id="m"))
    sent = (await faulty_store.mailboxes.send("m", 1)).entry
    gate = asyncio.Event()

    async def handler(delivery: Delivery) -> None:
        faulty.gates["commit"] = gate
        async with delivery.batch() as step:
            step.threads.append("m", says("written"))
        await block(delivery)

    worker = new_worker(faulty_store, handler, grace_ms=0)
    task = await start(worker, recorder)
    await faulty.called("commit", 3)
    worker.stop()
    await settle()
    gate.set()
    await task
    assert (await load(faulty_store, sent)).status == "accepted"
    assert await texts(faulty_store, "m") == ["written"]
    assert recorder.names() == ["Claimed", "Done"]


async def test_a_stop_while_the_store_hangs_ends_with_the_lease(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    new_worker: NewWorker,
    clock: ManualClock,
) -> None:
    await faulty_store.mailboxes.send("m", 1)
    worker = new_worker(faulty_store, block, lease_ms=200, grace_ms=0)
    task = await start(worker, recorder)
    faulty.gates = {name: asyncio.Event() for name in ("commit", "renew", "claim", "wait")}
    worker.stop()
    for _ in range(10):  # a lease that ends after 200 ms, and half a second for the last write
        await advance(clock, 70)
    await task
    assert [type(event) for event in recorder.events if not hasattr(event, "operation")] == [
        Claimed,
        LeaseLost,
    ]


async def test_a_stop_may_come_from_any_thread(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    worker = new_worker(store, block, grace_ms=0)
    await store.mailboxes.send("m", 1)
    task = await start(worker, recorder)
    thread = threading.Thread(target=worker.stop)
    thread.start()
    await task
    thread.join()
    assert recorder.names() == ["Claimed", "Released"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_the_worker_if_it_handles_signals(
    store: Store, recorder: Recorder, number: signal.Signals, new_worker: NewWorker
) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    await store.mailboxes.send("m", 1)
    worker = new_worker(store, block, grace_ms=0)
    task = asyncio.create_task(worker.run(handle_signals=True))
    await recorder.wait_for(Claimed)
    os.kill(os.getpid(), number)
    await task
    assert recorder.names() == ["Claimed", "Released"]
    assert {number: signal.getsignal(number) for number in before} == before


async def test_a_worker_leaves_signals_alone_by_default(
    store: Store, new_worker: NewWorker
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    async with running(new_worker(store, block)):
        await settle()
        assert signal.getsignal(signal.SIGTERM) is before


async def test_a_second_signal_has_the_effect_that_it_had_before_the_run(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker
) -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        await store.mailboxes.send("m", 1)
        worker = new_worker(store, block, grace_ms=200)
        task = asyncio.create_task(worker.run(handle_signals=True))
        await recorder.wait_for(Claimed)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        await advance(clock, 200)
        await task
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM]


def test_the_end_of_the_event_loop_releases_the_entries_of_running_handlers(
    recorder: Recorder, new_worker: NewWorker
) -> None:
    """Nobody stops the worker: `asyncio.run` cancels all tasks at once."""
    stores: list[Store] = []

    async def main() -> None:
        store = await treadle.open_store("memory:").open()
        stores.append(store)
        for number in range(5):
            await store.mailboxes.send(f"m{number}", number)
        task = asyncio.create_task(new_worker(store, block).run())
        await recorder.wait_for(Claimed, 5)
        assert not task.done()

    asyncio.run(main())
    assert len(recorder.of(Released)) == 5
    assert asyncio.run(stores[0].mailboxes.count_entries()).queued == 5


async def fail(delivery: Delivery) -> None:
    raise ValueError("not yet")


@pytest.mark.parametrize(("handler", "event"), [(return_at_once, Done), (fail, Retried)])
@pytest.mark.parametrize("count", [1, 3])
def test_the_end_of_the_event_loop_drops_no_outcome_that_is_being_written(
    faulty: FaultyBackend,
    recorder: Recorder,
    new_worker: NewWorker,
    handler: Handler,
    event: type[Done | Retried],
    count: int,
) -> None:
    tasks: list[asyncio.Task[None]] = []

    async def main() -> None:
        store = await Store(faulty).open()
        for number in range(count):
            await store.mailboxes.send(f"m{number}", number)
        before = faulty.calls["commit"]
        faulty.gates["commit"] = asyncio.Event()
        tasks.append(asyncio.create_task(new_worker(store, handler).run()))
        await faulty.called("commit", before + 1)
        del faulty.gates["commit"]  # what waits at it is cancelled; what comes now goes on

    recorder.skips_delays = False
    asyncio.run(main())
    assert len(recorder.of(event)) == count
    assert len(recorder.events) == 2 * count


async def test_closing_the_store_ends_the_worker_with_an_error(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    new_worker: NewWorker,
    clock: ManualClock,
) -> None:
    await faulty_store.mailboxes.send("m", 1)
    worker = new_worker(faulty_store, block, lease_ms=60)
    task = await start(worker, recorder)

    def closed(name: str) -> None:
        raise treadle.StoreClosed

    faulty.before = closed
    await advance(clock, 20)  # the next renewal
    with pytest.raises(treadle.StoreClosed):
        await task


@pytest.mark.parametrize("stop", ["stop", "cancel"])
async def test_a_worker_can_be_stopped_during_an_outage(
    faulty: FaultyBackend,
    faulty_store: Store,
    stop: str,
    new_worker: NewWorker,
) -> None:
    def fail(name: str) -> None:
        raise StoreUnavailable("here", "gone")

    faulty.before = fail
    worker = new_worker(faulty_store, block)
    task = asyncio.create_task(worker.run())
    await faulty.called("claim", 1)
    await settle()
    end: Callable[[], object] = worker.stop if stop == "stop" else task.cancel
    end()
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.wait({task})
    assert task.cancelled() == (stop == "cancel")
