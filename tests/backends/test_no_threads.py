"""A process that may have no more threads for a moment: calls are refused, and work afterwards."""

import threading
from collections.abc import Awaitable, Generator
from contextlib import contextmanager

import pytest

from tests.marks import every_backend
from treadle import Store, StoreUnavailable, Thread


@contextmanager
def without_threads() -> Generator[None]:
    """Let no thread start that is one of ours."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("treadle"):
            raise RuntimeError("can't start new thread")
        start(thread)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        yield


async def attempted(*calls: Awaitable[object]) -> None:
    for call in calls:
        try:
            await call
        except StoreUnavailable as error:
            assert "can't start new thread" in error.reason


@every_backend
async def test_each_call_works_or_says_why_not(store: Store) -> None:
    with without_threads():
        await attempted(
            store.threads.create(Thread(id="t")),
            store.threads.load("t"),
            store.threads.summary("t"),
            store.live.publish("t", 1),
            store.mailboxes.send("box", 1),
            store.mailboxes.claim(consumer="w"),
            store.mailboxes.wait(1),
        )
    await store.threads.ensure(Thread(id="t"))
    assert await store.threads.load("t") is not None
    await store.live.publish("t", 2)
    await store.mailboxes.wait(1)
