"""A purge of an old thread waits for a commit that puts a thread below it, and then sees it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from tests.postgres.activity import until_blocked
from treadle import Store, Thread, open_store
from treadle.commands import EnsureThread, RestoreThread, SaveThread, UpdateThread
from treadle.core.commands import AnyCommand
from treadle.core.threads import ThreadHead

CHILD = Thread(id="child", parent_thread_id="old")
PUTS: tuple[AnyCommand, ...] = (
    EnsureThread(thread=CHILD),
    SaveThread(thread=CHILD),
    RestoreThread(head=ThreadHead(thread=CHILD, version=1)),
    UpdateThread(thread_id="other", parent_thread_id="old"),
)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with open_store(url) as opened:
        yield opened


@pytest.mark.parametrize("command", PUTS, ids=lambda each: type(each).__name__)
async def test_a_child_that_is_not_committed_yet_keeps_its_parent(
    url: str, postgres_url: str, store: Store, command: AnyCommand
) -> None:
    await store.threads.create(Thread(id="old", resource_id="ann"))
    await store.threads.create(Thread(id="other", resource_id="bob"))
    async with await psycopg.AsyncConnection[Any].connect(postgres_url) as connection:
        await store.commit((command,), connection=connection)
        purging = asyncio.ensure_future(store.purge_threads(2**62, resource_id="ann"))
        await until_blocked(url)
        await connection.commit()
        purged = await asyncio.wait_for(purging, 10)
    assert (purged.threads, purged.active) == (0, 1)
    assert await store.threads.summary("old") is not None
