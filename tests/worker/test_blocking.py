"""Threads that a worker had to leave alone do no harm."""

import asyncio
import threading

import pytest
from tests.worker.support import PATIENCE_S, Recorder, eventually, running, says, texts

from weft import ClaimConflict, Store, Thread, open_store
from weft.worker import Claimed, Delivery, Released, Worker


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads get no second to notice that the worker stops."""
    monkeypatch.setattr("weft.worker.blocking._NOTICE_S", 0.01)


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


async def test_a_thread_left_alone_can_write_nothing(store: Store, recorder: Recorder) -> None:
    deaf = Deaf()
    await store.threads.create(Thread(id="t"))
    await store.mailboxes.send("t", 1)
    async with running(Worker(store, deaf, grace_ms=0, on_event=recorder)):
        await recorder.wait_for(Claimed)
    assert recorder.names() == ["Claimed", "Released"]
    deaf.let_go.set()
    await eventually(lambda: bool(deaf.errors))
    assert isinstance(deaf.errors[0], ClaimConflict)
    assert await texts(store, "t") == []


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
