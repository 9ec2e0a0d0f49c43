"""Stores on the machine's clock, one of them with faults, and a hook that remembers."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.worker.support import FaultyBackend, Recorder

from treadle import Store, Thread, open_store
from treadle.worker import Backoff


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """An open store; the test must leave no task behind."""
    async with open_store(store_url, durability="relaxed") as opened:
        before = asyncio.all_tasks()
        yield opened
        left = asyncio.all_tasks() - before - {asyncio.current_task()}
        assert not left


@pytest.fixture
async def thread(store: Store) -> None:
    """The thread `t`, for handlers to write into."""
    await store.threads.create(Thread(id="t"))


@pytest.fixture
def faulty() -> FaultyBackend:
    return FaultyBackend()


@pytest.fixture
async def faulty_store(faulty: FaultyBackend) -> AsyncIterator[Store]:
    """A store in memory that fails as `faulty` says; the test must leave no task behind."""
    async with Store(faulty) as opened:
        before = asyncio.all_tasks()
        yield opened
        left = asyncio.all_tasks() - before - {asyncio.current_task()}
        assert not left


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def no_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that finds nothing looks again when it is told to, and not by itself."""
    seldom = Backoff(base_ms=3_600_000, max_ms=3_600_000)
    monkeypatch.setattr("treadle.worker.claimer._POLL", seldom)
