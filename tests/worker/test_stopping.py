"""Stopping: claim nothing more, let running work finish, give back the rest, leave nothing."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable

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
    start,
    texts,
)

import treadle
from treadle import Store, StoreUnavailable, Thread
from treadle.worker import Backoff, Claimed, Delivery, Done, LeaseLost, Released, Worker


async def forever(delivery: Delivery) -> None:
    await asyncio.sleep(3_600)


@pytest.mark.usefixtures("no_polling")
async def test_an_idle_worker_stops_at_once(store: Store) -> None:
    async with running(Worker(store, forever)) as task:
        await asyncio.sleep(0.02)  # it waits by now
        assert not task.done()


async def test_stopping_before_running_ends_the_run_at_once(store: Store) -> None:
    await store.mailboxes.send("m", 1)
    worker = Worker(store, forever)
    worker.stop()
    await worker.run()
    assert (await store.mailboxes.stats()).queued == 1


async def test_running_work_may_finish_within_the_grace_time(
    store: Store, recorder: Recorder
) -> None:
    sent = await store.mailboxes.send("m", 1)
    let_go = asyncio.Event()

    async def handler(delivery: Delivery) -> None:
        await let_go.wait()

    worker = Worker(store, handler, on_event=recorder)
    task = await start(worker, recorder)
    worker.stop()
    late = await store.mailboxes.send("m2", "too late")
    assert not task.done()
    let_go.set()
    await task
    assert (await load(store, sent)).status == "accepted"
    assert (await load(store, late)).status == "queued"
    assert len(recorder.of(Claimed)) == len(recorder.of(Done)) == 1


async def test_leases_are_renewed_while_running_work_finishes(
    store: Store, recorder: Recorder
) -> None:
    sent = await store.mailboxes.send("m", 1)

    async def handler(delivery: Delivery) -> None:
        await asyncio.sleep(0.5)

    worker = Worker(store, handler, lease_ms=400, on_event=recorder)
    task = await start(worker, recorder)
    worker.stop()
    while not task.done():
        assert await store.mailboxes.claim(consumer="thief") == ()
        await asyncio.sleep(0.01)
        if (await load(store, sent)).status == "accepted":
            break
    await task
    assert recorder.names() == ["Claimed", "Done"]


@every_backend
async def test_what_does_not_finish_is_cancelled_and_given_back_with_its_attempt(
    store: Store, recorder: Recorder
) -> None:
    sent = await store.mailboxes.send("m", 1)
    worker = Worker(store, forever, grace_ms=30, on_event=recorder)
    task = await start(worker, recorder)
    worker.stop()
    await task
    entry = await load(store, sent)
    assert (entry.status, entry.attempt_count, entry.last_error) == ("queued", 0, None)
    assert entry.available_at == sent.available_at
    assert recorder.names() == ["Claimed", "Released"]


async def test_a_handler_that_fails_as_it_is_cancelled_is_given_back_too(
    store: Store, recorder: Recorder
) -> None:
    sent = await store.mailboxes.send("m", 1)

    async def handler(delivery: Delivery) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise ConnectionError("cut off")

    worker = Worker(store, handler, grace_ms=0, on_event=recorder)
    task = await start(worker, recorder)
    worker.stop()
    await task
    assert (await load(store, sent)).attempt_count == 0
    assert recorder.names() == ["Claimed", "Released"]


async def test_a_handler_that_finishes_as_it_is_cancelled_is_done(
    store: Store, recorder: Recorder
) -> None:
    await store.threads.create(Thread(id="m"))
    sent = await store.mailboxes.send("m", 1)

    async def handler(delivery: Delivery) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            async with delivery.batch() as step:
                step.threads.append("m", says("in short"))

    worker = Worker(store, handler, grace_ms=0, on_event=recorder)
    task = await start(worker, recorder)
    worker.stop()
    await task
    assert (await load(store, sent)).status == "accepted"
    assert await texts(store, "m") == ["in short"]
    assert recorder.names() == ["Claimed", "Done"]


@pytest.mark.parametrize("how", ["cancel", "timeout"])
async def test_cancelling_the_run_is_as_orderly_as_stopping(
    store: Store, recorder: Recorder, how: str
) -> None:
    quick = await store.mailboxes.send("quick", 1)
    slow = await store.mailboxes.send("slow", 2)
    let_go = asyncio.Event()

    async def handler(delivery: Delivery) -> None:
        await (let_go.wait() if delivery.entry.mailbox_id == "quick" else forever(delivery))

    worker = Worker(store, handler, grace_ms=100, on_event=recorder)

    async def run() -> None:
        if how == "cancel":
            await worker.run()
            return
        async with asyncio.timeout(0.1):
            await worker.run()

    task = asyncio.create_task(run())
    await recorder.wait_for(Claimed, 2)
    if how == "cancel":
        task.cancel()
    await asyncio.sleep(0.12)
    let_go.set()
    with pytest.raises(asyncio.CancelledError if how == "cancel" else TimeoutError):
        await task
    assert (await load(store, slow)).attempt_count == 0
    assert (await load(store, quick)).status in ("accepted", "queued")
    assert len(recorder.of(Done)) + len(recorder.of(Released)) == 2


async def test_cancelling_again_and_again_loses_nothing(store: Store, recorder: Recorder) -> None:
    sent = [await store.mailboxes.send(f"m{number}", number) for number in range(6)]
    worker = Worker(store, forever, grace_ms=50, on_event=recorder)
    task = await start(worker, recorder, 6)
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    assert task.cancelled()
    for entry in sent:
        assert (await load(store, entry)).status == "queued"
    assert len(recorder.of(Released)) == 6


async def test_a_claim_under_way_at_the_stop_is_given_back_at_once(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder
) -> None:
    for number in range(3):
        await faulty_store.mailboxes.send(f"m{number}", number)
    gate = faulty.gates["claim"] = asyncio.Event()
    worker = Worker(faulty_store, forever, on_event=recorder)
    task = asyncio.create_task(worker.run())
    await eventually(lambda: faulty.calls["claim"] == 1)
    worker.stop()
    await asyncio.sleep(0.01)
    gate.set()
    await task
    page = await faulty_store.mailboxes.list(status="queued")
    assert [entry.attempt_count for entry in page.items] == [0, 0, 0]
    assert recorder.names() == ["Released"] * 3


async def test_a_claim_under_way_at_a_cancellation_is_given_back_at_once(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder
) -> None:
    await faulty_store.mailboxes.send("m", 1)
    gate = faulty.gates["claim"] = asyncio.Event()
    task = asyncio.create_task(Worker(faulty_store, forever, on_event=recorder).run())
    await eventually(lambda: faulty.calls["claim"] == 1)
    task.cancel()
    await asyncio.sleep(0.01)
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recorder.names() == ["Released"]
    assert (await faulty_store.mailboxes.stats()).queued == 1


async def test_the_last_write_is_shielded_from_cancellation(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder
) -> None:
    sent = await faulty_store.mailboxes.send("m", 1)
    gate = asyncio.Event()

    async def handler(delivery: Delivery) -> None:
        faulty.gates["commit"] = gate

    task = asyncio.create_task(Worker(faulty_store, handler, grace_ms=0, on_event=recorder).run())
    await eventually(lambda: faulty.calls["commit"] == 2)  # the send, and now the ack
    for _ in range(5):
        task.cancel()
        await asyncio.sleep(0.002)
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await load(faulty_store, sent)).status == "accepted"
    assert recorder.names() == ["Claimed", "Done"]


async def test_a_batch_under_way_is_shielded_from_cancellation(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder
) -> None:
    await faulty_store.threads.create(Thread(id="m"))
    sent = await faulty_store.mailboxes.send("m", 1)
    gate = asyncio.Event()

    async def handler(delivery: Delivery) -> None:
        faulty.gates["commit"] = gate
        async with delivery.batch() as step:
            step.threads.append("m", says("written"))
        await asyncio.sleep(60)

    worker = Worker(faulty_store, handler, grace_ms=0, on_event=recorder)
    task = await start(worker, recorder)
    await eventually(lambda: faulty.calls["commit"] == 3)
    worker.stop()
    await asyncio.sleep(0.02)
    gate.set()
    await task
    assert (await load(faulty_store, sent)).status == "accepted"
    assert await texts(faulty_store, "m") == ["written"]
    assert recorder.names() == ["Claimed", "Done"]


async def test_a_stop_while_the_store_hangs_ends_with_the_lease(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder
) -> None:
    await faulty_store.mailboxes.send("m", 1)
    worker = Worker(faulty_store, forever, lease_ms=200, grace_ms=0, on_event=recorder)
    task = await start(worker, recorder)
    faulty.gates = {name: asyncio.Event() for name in ("commit", "renew", "claim", "wait")}
    began = time.monotonic()
    worker.stop()
    await task
    assert time.monotonic() - began < PATIENCE_S
    assert [type(event) for event in recorder.events if not hasattr(event, "operation")] == [
        Claimed,
        LeaseLost,
    ]


async def test_a_stop_may_come_from_any_thread(store: Store, recorder: Recorder) -> None:
    worker = Worker(store, forever, grace_ms=0, on_event=recorder)
    await store.mailboxes.send("m", 1)
    task = await start(worker, recorder)
    thread = threading.Thread(target=worker.stop)
    thread.start()
    await task
    thread.join()
    assert recorder.names() == ["Claimed", "Released"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_the_worker_if_asked(
    store: Store, recorder: Recorder, number: signal.Signals
) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    await store.mailboxes.send("m", 1)
    worker = Worker(store, forever, grace_ms=0, on_event=recorder)
    task = asyncio.create_task(worker.run(handle_signals=True))
    await recorder.wait_for(Claimed)
    os.kill(os.getpid(), number)
    await task
    assert recorder.names() == ["Claimed", "Released"]
    assert {number: signal.getsignal(number) for number in before} == before


async def test_signals_are_left_alone_unless_asked(store: Store) -> None:
    before = signal.getsignal(signal.SIGTERM)
    async with running(Worker(store, forever)):
        await asyncio.sleep(0.01)
        assert signal.getsignal(signal.SIGTERM) is before


async def test_a_second_signal_does_what_it_did_before(store: Store, recorder: Recorder) -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        await store.mailboxes.send("m", 1)
        worker = Worker(store, forever, grace_ms=200, on_event=recorder)
        task = asyncio.create_task(worker.run(handle_signals=True))
        await recorder.wait_for(Claimed)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        await task
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM]


def test_the_end_of_the_event_loop_gives_back_what_was_running() -> None:
    """Nobody stops the worker: `asyncio.run` cancels all there is, all at once."""
    recorder = Recorder()
    stores: list[Store] = []

    async def main() -> None:
        store = await treadle.open_store("memory:").open()
        stores.append(store)
        for number in range(5):
            await store.mailboxes.send(f"m{number}", number)
        task = asyncio.create_task(Worker(store, forever, on_event=recorder).run())
        await recorder.wait_for(Claimed, 5)
        assert not task.done()

    began = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - began < PATIENCE_S
    assert len(recorder.of(Released)) == 5
    assert asyncio.run(stores[0].mailboxes.stats()).queued == 5


async def test_closing_the_store_ends_the_worker_with_an_error(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder
) -> None:
    await faulty_store.mailboxes.send("m", 1)
    worker = Worker(faulty_store, forever, lease_ms=60, on_event=recorder)
    task = await start(worker, recorder)

    def closed(name: str) -> None:
        raise treadle.StoreClosed

    faulty.before = closed
    with pytest.raises(treadle.StoreClosed):
        await task


@pytest.mark.parametrize("stop", ["stop", "cancel"])
async def test_a_worker_can_be_stopped_during_an_outage(
    faulty: FaultyBackend, faulty_store: Store, monkeypatch: pytest.MonkeyPatch, stop: str
) -> None:
    seldom = Backoff(base_ms=3_600_000, max_ms=3_600_000)
    monkeypatch.setattr("treadle.worker.claimer.OUTAGE_BACKOFF", seldom)

    def fail(name: str) -> None:
        raise StoreUnavailable("here", "gone")

    faulty.before = fail
    worker = Worker(faulty_store, forever)
    task = asyncio.create_task(worker.run())
    await eventually(lambda: faulty.calls["claim"] == 1)
    await asyncio.sleep(0.02)  # it rests by now
    end: Callable[[], object] = worker.stop if stop == "stop" else task.cancel
    end()
    done, _ = await asyncio.wait({task}, timeout=PATIENCE_S)
    assert done
    assert task.cancelled() == (stop == "cancel")
