"""The tables under load: renewals and appends are heap-only updates."""

import time
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from treadle import Message, Store, Thread, ThreadChangeSet, open_store
from treadle.backends.postgres._limits import COMMITTING_THREADS

MESSAGE = ThreadChangeSet(run_id="", reason="UserMessage", messages=(Message.user("hi"),))


@pytest.fixture
def schema(new_schema: str) -> str:
    """The server counts updates of a table for as long as there is one."""
    return new_schema


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with open_store(url, migrate=True) as opened:
        yield opened


def updates(postgres_url: str, schema: str, table: str, *, expected: int) -> tuple[int, int]:
    """How many rows of a table were updated, and how many of those heap-only.

    A session reports its updates when it ends, a moment after the client has left.
    """
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        found: Any = None
        for _ in range(200):
            found = connection.execute(
                "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables"
                " WHERE schemaname = %s AND relname = %s",
                (schema, table),
            ).fetchone()
            if found is not None and found[0] >= expected:
                return int(found[0]), int(found[1])
            time.sleep(0.05)
    raise AssertionError(f"the server counts {found} updates of {table}, not {expected}")


async def test_renewals_are_heap_only(postgres_url: str, schema: str, url: str) -> None:
    async with open_store(url, migrate=True) as store:
        await store.mailboxes.send("box", {"n": 1})
        (entry,) = await store.mailboxes.claim(consumer="w", lease_ms=60_000)
        for number in range(200):  # longer each time: two may fall into the same millisecond
            assert await store.mailboxes.extend_lease(entry, extension_ms=60_001 + number)
    for table, expected in (("entries", 201), ("mailboxes", 201)):
        updated, hot = updates(postgres_url, schema, table, expected=expected)
        assert hot >= updated - 5, (table, updated, hot)


@pytest.mark.parametrize("table", ["threads", "commits"])
async def test_appends_are_heap_only(postgres_url: str, schema: str, url: str, table: str) -> None:
    async with open_store(url, migrate=True) as store:
        await store.threads.create(Thread(id="t"))
        for _ in range(200):
            await store.threads.append("t", MESSAGE)
    # The first commit of each connection puts its row.
    expected = 200 if table == "threads" else 201 - COMMITTING_THREADS
    updated, hot = updates(postgres_url, schema, table, expected=expected)
    assert expected <= updated <= 200
    assert hot >= updated - 10
