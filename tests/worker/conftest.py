"""Stores and workers on a clock that the tests move, and a hook that records events."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from tests.worker.support import AT_ONCE, FaultyBackend, NewWorker, Recorder, Work, until_idle

from treadle import Store, Thread, open_store
from treadle.testing import ManualClock
from treadle.worker import Handler, Worker


@asynccontextmanager
async def leaving_no_task() -> AsyncIterator[None]:
    """Fail if the block leaves a task behind."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left


@pytest.fixture
async def store(store_url: str, clock: ManualClock) -> AsyncIterator[Store]:
    """An open store on the manual clock; the test must leave no task behind."""
    opening = open_store(store_url, clock=clock, durability="relaxed")
    async with opening as opened, leaving_no_task():
        yield opened


@pytest.fixture
async def thread(store: Store) -> None:
    """The thread `t`, for handlers to write into."""
    await store.threads.create(Thread(id="t"))


@pytest.fixture
def faulty(clock: ManualClock) -> FaultyBackend:
    return FaultyBackend(clock)


@pytest.fixture
async def faulty_store(faulty: FaultyBackend) -> AsyncIterator[Store]:
    """A store in memory that fails as `faulty` says; the test must leave no task behind."""
    async with Store(faulty) as opened, leaving_no_task():
        yield opened


@pytest.fixture
def recorder(clock: ManualClock) -> Recorder:
    return Recorder(clock)


@pytest.fixture
def new_worker(clock: ManualClock, recorder: Recorder) -> NewWorker:
    """Creates workers on the manual clock, whose events go to `recorder`."""

    def new_worker(store: Store, handler: Handler, **options: Any) -> Worker:
        chosen = {"clock": clock, "random": Random(0), "on_event": recorder, **options}
        return Worker(store, handler, **chosen)

    return new_worker


@pytest.fixture
def work(store: Store, new_worker: NewWorker) -> Work:
    """Sends one entry to mailbox t, and runs a worker with the handler until it has ended."""

    async def work(handler: Handler) -> None:
        await store.mailboxes.send("t", {"text": "hi"})
        await until_idle(new_worker(store, handler, backoff=AT_ONCE, max_attempts=3))

    return work
