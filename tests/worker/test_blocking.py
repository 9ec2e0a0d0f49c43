"""Handlers that are plain functions run in threads, which nobody can end from outside."""

import asyncio
import contextvars
import threading
import time

import pytest
from tests.worker.support import (
    PATIENCE_S,
    Recorder,
    eventually,
    load,
    running,
    says,
    texts,
    until_idle,
    work,
)

from treadle import ClaimConflict, Committed, Store, VersionConflict, open_store
from treadle.worker import Claimed, Delivery, Done, Released, Retried, Withdrawn, Worker

pytestmark = pytest.mark.usefixtures("thread")


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads get no second to notice that the worker stops."""
    monkeypatch.setattr("treadle.worker.blocking._NOTICE_S", 0.01)


async def test_a_plain_function_runs_in_a_thread(store: Store, recorder: Recorder) -> None:
    variable = contextvars.ContextVar("variable", default="lost")
    variable.set("kept")
    seen: list[object] = []

    def handler(delivery: Delivery) -> None:
        seen.append((threading.current_thread() is threading.main_thread(), variable.get()))

    await work(store, handler, recorder)
    assert seen == [(False, "kept")]
    assert recorder.names() == ["Claimed", "Done"]


async def test_a_plain_function_reads_and_commits_by_blocking(
    store: Store, recorder: Recorder
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
        assert not delivery.settled
        with delivery.batch() as step:
            step.threads.append("t", says("two"), expected=1)
        assert delivery.settled

    await work(store, handler, recorder)
    assert recorder.names() == ["Claimed", "Done"]
    assert await texts(store, "t") == ["one", "two"]


async def test_blocking_on_the_event_loop_is_refused(store: Store, recorder: Recorder) -> None:
    async def handler(delivery: Delivery) -> None:
        with pytest.raises(RuntimeError, match="use await"):
            delivery.call(delivery.thread())
        with pytest.raises(RuntimeError, match="use await"), delivery.batch() as step:
            step.threads.append("t", says("never"))

    await work(store, handler, recorder)
    assert recorder.names() == ["Claimed", "Done"]
    assert await texts(store, "t") == []


@pytest.mark.parametrize("error", [ValueError("no"), StopIteration(), SystemExit(1)])
async def test_an_error_in_a_thread_is_retried_like_any_other(
    store: Store, recorder: Recorder, error: BaseException
) -> None:
    def handler(delivery: Delivery) -> None:
        if delivery.entry.attempt_count == 1:
            raise error

    await work(store, handler, recorder)
    assert recorder.names() == ["Claimed", "Retried", "Claimed", "Done"]
    assert type(error).__name__ in recorder.of(Retried)[0].error


async def test_slow_functions_run_side_by_side(store: Store, recorder: Recorder) -> None:
    together = threading.Barrier(4, timeout=5)

    def handler(delivery: Delivery) -> None:
        together.wait()

    for number in range(4):
        await store.mailboxes.send(f"m{number}", number)
    await until_idle(Worker(store, handler, concurrency=4, on_event=recorder))
    assert len(recorder.of(Done)) == 4


@pytest.mark.usefixtures("hasty")
async def test_a_lost_lease_raises_the_flag_for_a_thread_and_keeps_its_slot(
    store: Store, recorder: Recorder
) -> None:
    await store.mailboxes.send("t", 1)
    may_end = threading.Event()
    refused: list[BaseException] = []

    def handler(delivery: Delivery) -> None:
        if delivery.entry.payload == 2:
            return
        while not delivery.cancelled:
            time.sleep(0.001)
        may_end.wait(PATIENCE_S)
        try:
            with delivery.batch() as step:
                step.threads.append("t", says("never"))
        except ClaimConflict as error:
            refused.append(error)

    worker = Worker(store, handler, concurrency=1, lease_ms=300, on_event=recorder)
    async with running(worker):
        await recorder.wait_for(Claimed)
        await store.mailboxes.interrupt("t")
        await recorder.wait_for(Withdrawn)
        await store.mailboxes.send("t", 2)
        await asyncio.sleep(0.1)
        assert len(recorder.of(Claimed)) == 1  # the thread still runs: one slot, one thread
        may_end.set()
        await recorder.wait_for(Done)
    assert len(refused) == 1
    assert await texts(store, "t") == []


async def test_a_thread_that_notices_the_stop_is_waited_for(
    store: Store, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treadle.worker.blocking._NOTICE_S", 10 * PATIENCE_S)
    await store.mailboxes.send("t", 1)
    ended = threading.Event()

    def handler(delivery: Delivery) -> None:
        while not delivery.cancelled:
            time.sleep(0.001)
        ended.set()

    async with running(Worker(store, handler, grace_ms=0, on_event=recorder)):
        await recorder.wait_for(Claimed)
    assert ended.is_set()
    assert recorder.names() == ["Claimed", "Released"]


class Deaf:
    """A plain function that notices nothing until it is let go, and then tries to write."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.thread: threading.Thread | None = None
        self.errors: list[BaseException] = []

    def __call__(self, delivery: Delivery) -> None:
        self.thread = threading.current_thread()
        self.let_go.wait(PATIENCE_S)
        try:
            with delivery.batch() as step:
                step.threads.append("t", says("stale"))
        except BaseException as error:
            self.errors.append(error)
            raise


@pytest.mark.usefixtures("hasty")
async def test_a_thread_that_ignores_the_stop_is_left_alone_and_can_write_nothing(
    store: Store, recorder: Recorder
) -> None:
    deaf = Deaf()
    sent = await store.mailboxes.send("t", 1)
    async with running(Worker(store, deaf, grace_ms=0, on_event=recorder)):
        await recorder.wait_for(Claimed)
    assert deaf.errors == []  # it still runs
    entry = await load(store, sent)
    assert (entry.status, entry.attempt_count) == ("queued", 0)
    assert recorder.names() == ["Claimed", "Released"]
    deaf.let_go.set()
    await eventually(lambda: bool(deaf.errors))
    assert isinstance(deaf.errors[0], ClaimConflict)
    assert await texts(store, "t") == []


@pytest.mark.usefixtures("hasty")
def test_a_thread_that_outlives_its_worker_and_the_loop_disturbs_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    deaf, recorder = Deaf(), Recorder()

    async def main() -> None:
        async with open_store("memory:") as store:
            await store.mailboxes.send("t", 1)
            async with running(Worker(store, deaf, grace_ms=0, on_event=recorder)):
                await recorder.wait_for(Claimed)

    asyncio.run(main())
    assert len(recorder.of(Released)) == 1
    caplog.clear()
    deaf.let_go.set()
    assert deaf.thread is not None
    deaf.thread.join(PATIENCE_S)
    assert isinstance(deaf.errors[0], RuntimeError)  # there is no loop left to commit on
    assert caplog.records == []
