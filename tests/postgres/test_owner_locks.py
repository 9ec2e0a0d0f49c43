"""A run has the owner of its thread, though both are written at the same time, and however many."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from tests.postgres.activity import until_blocked
from treadle import RunRecord, Store, Thread, open_store
from treadle.backends.postgres._limits import MOST_OWNER_LOCKS

MANY = MOST_OWNER_LOCKS + 100
LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with open_store(url) as opened:
        yield opened


@pytest.fixture
async def connection(postgres_url: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    async with await psycopg.AsyncConnection.connect(postgres_url) as opened:
        yield opened


def thread(number: int) -> Thread:
    return Thread(id=f"t{number}", resource_id="alice")


def run(number: int) -> RunRecord:
    return RunRecord(run_id=f"r{number}", thread_id=f"t{number}", created_at=1, updated_at=1)


async def runs_of_alice(store: Store) -> set[str]:
    found: set[str] = set()
    after = None
    while True:
        page = await store.runs.search(resource_id="alice", limit=200, after=after)
        found |= {each.run_id for each in page.items}
        if page.next_cursor is None:
            return found
        after = page.next_cursor


@pytest.mark.parametrize("count", [1, MANY])
async def test_a_run_waits_for_the_owners_of_many_threads(
    url: str, store: Store, connection: psycopg.AsyncConnection[Any], count: int
) -> None:
    async with store.batch(connection=connection) as step:
        for number in range(count):
            step.threads.create(thread(number))
            step.runs.upsert(run(number))
    inserting = asyncio.ensure_future(
        store.runs.upsert(RunRecord(run_id="late", thread_id="t0", created_at=1, updated_at=1))
    )
    await until_blocked(url)
    await connection.commit()
    await asyncio.wait_for(inserting, 10)
    assert "late" in await runs_of_alice(store)


@pytest.mark.parametrize("count", [1, MANY])
async def test_the_owners_of_many_threads_wait_for_a_run(
    url: str, store: Store, connection: psycopg.AsyncConnection[Any], count: int
) -> None:
    async with store.batch(connection=connection) as step:
        step.runs.upsert(run(0))

    async def create() -> None:
        async with store.batch() as step:
            for number in range(count):
                step.threads.create(thread(number))
                step.runs.upsert(run(number + 1))

    creating = asyncio.ensure_future(create())
    await until_blocked(url)
    await connection.commit()
    await asyncio.wait_for(creating, 10)
    assert "r0" in await runs_of_alice(store)


async def test_many_threads_take_one_place_in_the_memory_of_the_server(
    store: Store, connection: psycopg.AsyncConnection[Any]
) -> None:
    async with store.batch(connection=connection) as step:
        for number in range(MANY):
            step.threads.create(thread(number))
            step.runs.upsert(run(number))
    assert await (await connection.execute(LOCKS)).fetchone() == (1,)
    await connection.rollback()
