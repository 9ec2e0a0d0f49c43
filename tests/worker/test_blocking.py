"""Handlers that are plain functions run in threads, which cannot be ended from outside."""

import asyncio
import contextvars
import threading
import time
from types import SimpleNamespace
from typing import cast

import pytest
from tests.worker.support import (
    DEADLINE_S,
    NewWorker,
    Recorder,
    Work,
    advance,
    load,
    running,
    says,
    start,
    texts,
    until_idle,
)

import treadle
from treadle import ClaimConflict, Committed, MailboxEntry, Store, VersionConflict
from treadle.testing import ManualClock
from treadle.worker import Claimed, Delivery, Done, Released, Retried, Withdrawn, Worker
from treadle.worker._attempt import Attempt
from treadle.worker._blocking import call_blocking
from treadle.worker._lease import Lease

pytestmark = pytest.mark.usefixtures("thread")


async def test_a_plain_function_runs_in_a_thread(recorder: Recorder, work: Work) -> None:
    variable = contextvars.ContextVar("variable", default="lost")
    variable.set("kept")
    seen: list[object] = []

    def handler(delivery: Delivery) -> None:
        seen.append((threading.current_thread() is threading.main_thread(), variable.get()))

    await work(handler)
    assert seen == [(False, "kept")]
    assert recorder.names() == ["Claimed", "Done"]


async def test_a_plain_function_reads_and_commits_with_blocking_calls(
    store: Store, recorder: Recorder, work: Work
) -> None:
    def handler(delivery: Delivery) -> None:
        head = delivery.call(delivery.thread())
        assert head is not None
        with delivery.batch(settle=False) as step:
            step.threads.append("t", says("one"), expected=head.version)
        assert step.receipt is not None
        assert step.receipt.results == (Committed(version=1),)
        with pytest.raises(VersionConflict), delivery.batch() as step:
            step.threads.append("t", says("never"), expected=0)
        with pytest.raises(KeyError), delivery.batch() as step:
            raise KeyError
        with pytest.raises(RuntimeError, match="has failed; make another one"), step:
            pass
        assert not delivery.settled
        with delivery.batch() as step:
            step.threads.append("t", says("two"), expected=1)
        assert delivery.settled

    await work(handler)
    assert recorder.names() == ["Claimed", "Done"]
    assert await texts(store, "t") == ["one", "two"]


async def test_blocking_on_the_event_loop_is_refused(
    store: Store, recorder: Recorder, work: Work
) -> None:
    async def handler(delivery: Delivery) -> None:
        with pytest.raises(RuntimeError, match="use await"):
            delivery.call(delivery.thread())
        with pytest.raises(RuntimeError, match="write `async with delivery"), delivery.batch():
            pass

    await work(handler)
    assert recorder.names() == ["Claimed", "Done"]
    assert await texts(store, "t") == []


@pytest.mark.parametrize("error", [ValueError("no"), StopIteration(), SystemExit(1)])
async def test_an_error_in_a_thread_is_retried_like_any_other(
    recorder: Recorder, error: BaseException, work: Work
) -> None:
    def handler(delivery: Delivery) -> None:
        if delivery.entry.attempt_count == 1:
            raise error

    await work(handler)
    assert recorder.names() == ["Claimed", "Retried", "Claimed", "Done"]
    assert type(error).__name__ in recorder.of(Retried)[0].error


async def test_blocking_functions_run_in_parallel(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    together = threading.Barrier(4, timeout=5)

    def handler(delivery: Delivery) -> None:
        together.wait()

    for number in range(4):
        await store.mailboxes.send(f"m{number}", number)
    await until_idle(new_worker(store, handler, concurrency=4))
    assert len(recorder.of(Done)) == 4


async def test_a_thread_of_a_lost_lease_is_flagged_and_keeps_its_slot(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker
) -> None:
    await store.mailboxes.send("t", 1)
    started, may_end = threading.Event(), threading.Event()
    refused: list[BaseException] = []

    def handler(delivery: Delivery) -> None:
        if delivery.entry.payload == 2:
            return
        started.set()
        may_end.wait(DEADLINE_S)
        assert delivery.cancelled
        try:
            with delivery.batch() as step:
                step.threads.append("t", says("never"))
        except ClaimConflict as error:
            refused.append(error)

    async with running(new_worker(store, handler, concurrency=1, lease_ms=300)):
        await asyncio.to_thread(started.wait, DEADLINE_S)
        await store.mailboxes.interrupt("t")
        await advance(clock, 100)
        assert len(recorder.of(Withdrawn)) == 1
        await store.mailboxes.send("t", 2)
        for _ in range(30):  # much longer than a thread gets when the worker stops
            await advance(clock, 100)
        assert len(recorder.of(Claimed)) == 1  # the thread still runs: one slot, one thread
        may_end.set()
        await recorder.wait_for(Done)
    assert len(refused) == 1
    assert await texts(store, "t") == []


async def test_a_thread_that_notices_the_stop_is_awaited(clock: ManualClock) -> None:
    """On a clock that does not move, only its end can end the wait."""
    entry = MailboxEntry(entry_id="e", mailbox_id="m", status="claimed", claim_token="c")
    attempt = Attempt(Lease(entry, 300, clock))
    started, ended = threading.Event(), threading.Event()

    def handler(delivery: Delivery) -> None:
        started.set()
        while not attempt.is_cancelled:
            time.sleep(0.001)
        ended.set()

    delivery = cast("Delivery", SimpleNamespace(entry=entry))
    task = asyncio.create_task(call_blocking(handler, delivery, attempt, clock))
    await asyncio.to_thread(started.wait, DEADLINE_S)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


class Deaf:
    """A plain function that notices nothing until it is freed, and then tries to write."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.ended = threading.Event()
        self.thread: threading.Thread | None = None
        self.errors: list[BaseException] = []

    def __call__(self, delivery: Delivery) -> None:
        self.thread = threading.current_thread()
        self.free.wait(DEADLINE_S)
        try:
            with delivery.batch() as step:
                step.threads.append("t", says("never"))
        except BaseException as error:
            self.errors.append(error)
            raise
        finally:
            self.ended.set()


async def stop_without_the_thread(worker: Worker, recorder: Recorder, clock: ManualClock) -> None:
    task = await start(worker, recorder)
    worker.stop()
    await advance(clock, 0)
    await advance(clock, 999)
    assert not task.done()
    await advance(clock, 1)
    await task


async def test_a_thread_that_ignores_the_stop_is_left_running_and_can_write_nothing(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker
) -> None:
    deaf = Deaf()
    sent = (await store.mailboxes.send("t", 1)).entry
    await stop_without_the_thread(new_worker(store, deaf, grace_ms=0), recorder, clock)
    assert deaf.errors == []  # it still runs
    entry = await load(store, sent)
    assert (entry.status, entry.attempt_count) == ("queued", 0)
    assert recorder.names() == ["Claimed", "Released"]
    deaf.free.set()
    await asyncio.to_thread(deaf.ended.wait, DEADLINE_S)
    assert isinstance(deaf.errors[0], ClaimConflict)
    assert await texts(store, "t") == []


def test_a_thread_that_outlives_its_worker_and_the_event_loop_disturbs_nothing(
    caplog: pytest.LogCaptureFixture,
    recorder: Recorder,
    clock: ManualClock,
    new_worker: NewWorker,
) -> None:
    deaf = Deaf()

    async def main() -> None:
        async with treadle.open_store("memory:", clock=clock) as store:
            await store.mailboxes.send("t", 1)
            await stop_without_the_thread(new_worker(store, deaf, grace_ms=0), recorder, clock)

    asyncio.run(main())
    assert len(recorder.of(Released)) == 1
    caplog.clear()
    deaf.free.set()
    assert deaf.thread is not None
    deaf.thread.join(DEADLINE_S)
    assert isinstance(deaf.errors[0], RuntimeError)  # there is no loop left to commit on
    assert caplog.records == []
