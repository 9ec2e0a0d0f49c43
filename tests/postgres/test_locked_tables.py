"""Somebody has locked a whole table: calls end at their deadline, on the server as well."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import psycopg
import pytest
from psycopg import sql

from treadle import Store, Thread
from treadle.backends.postgres.backend import PostgresBackend
from treadle.backends.postgres.location import parse_location
from treadle.errors import StoreUnavailable

READS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "a small one": lambda store: store.threads.summary("t"),
    "a large one": lambda store: store.threads.load("t"),
    "a listing": lambda store: store.threads.list_summaries(limit=200),
    "a wait": lambda store: store.mailboxes.wait(60_000),
}


def backend(url: str) -> PostgresBackend:
    location = parse_location(f"{url}&listen=off")
    return PostgresBackend(location, call_seconds=0.5)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with Store(backend(url)) as opened:
        await opened.threads.create(Thread(id="t"))
        yield opened


@pytest.fixture
def keeper(postgres_url: str, schema: str) -> Iterator[psycopg.Connection]:
    """A connection with the locks of somebody who rewrites tables, such as by VACUUM FULL."""
    with psycopg.connect(postgres_url) as connection:
        yield connection
        connection.rollback()


def lock(keeper: psycopg.Connection, schema: str, *tables: str) -> None:
    names = sql.SQL(", ").join(sql.Identifier(schema, table) for table in tables)
    keeper.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(names))


def waiting(keeper: psycopg.Connection) -> int:
    """How many sessions wait for the locks of the keeper."""
    found = keeper.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
    ).fetchone()
    assert found is not None
    return int(found[0])


@pytest.mark.parametrize("name", READS)
async def test_a_read_leaves_no_session_that_waits(
    store: Store, keeper: psycopg.Connection, schema: str, name: str
) -> None:
    """A server has only so many sessions: it would soon refuse everybody."""
    lock(keeper, schema, "threads", "mailboxes", "queue_heads")
    with pytest.raises(StoreUnavailable, match="holds a table"):
        await READS[name](store)
    assert waiting(keeper) == 0
    keeper.rollback()
    assert await store.threads.summary("t") is not None


async def test_an_opening_leaves_no_session_that_waits(
    url: str, keeper: psycopg.Connection, schema: str
) -> None:
    for table in ("migrations", "commits"):
        lock(keeper, schema, table)
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            await Store(backend(url)).open()
        assert waiting(keeper) == 0
        keeper.rollback()
    async with Store(backend(url)):
        pass
