"""A row that nothing refers to is in the way of a write: damage, and no conflict of writers."""

import asyncio
import sqlite3
from contextlib import closing

import psycopg
import pytest

from treadle import Committed, CorruptRecord, Message, Store, Thread
from treadle.backends.postgres.location import parse_location

IN_THE_WAY = {
    "a message": (
        "INSERT INTO messages (thread_key, position, visibility, body)"
        " SELECT thread_key, 0, 'all', '{}' FROM threads WHERE thread_id = 't'"
    ),
    "a delta": (
        "INSERT INTO deltas (thread_key, version, committed_at, body)"
        " SELECT thread_key, 1, 1, '{}' FROM threads WHERE thread_id = 't'"
    ),
}


def execute(store_url: str, statement: str) -> None:
    if store_url.startswith("sqlite"):
        with closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as file:
            file.execute(statement)
            file.commit()
        return
    location = parse_location(store_url)
    with psycopg.connect(location.conninfo) as server:
        server.execute(f'SET search_path TO "{location.schema}"'.encode())
        server.execute(statement.encode())


@pytest.mark.parametrize("store_url", ["sqlite", "postgres"], indirect=True)
@pytest.mark.parametrize("name", IN_THE_WAY)
async def test_a_write_says_soon_what_is_in_its_way(
    store: Store, store_url: str, name: str
) -> None:
    for thread in ("t", "other"):
        await store.threads.create(Thread(id=thread))
    execute(store_url, IN_THE_WAY[name])
    async with asyncio.timeout(15):  # half of what a call has that others are faster than
        calls = (store.threads.append(each, Message.user("x")) for each in ("other", "t", "t"))
        done, *refused = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(done, Committed)
    for error in refused:
        assert isinstance(error, CorruptRecord)
        assert name.removeprefix("a ") in error.reason
