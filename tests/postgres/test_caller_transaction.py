"""Writing in the caller's transaction, together with the caller's tables: all or nothing."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.postgres.activity import until_blocked, until_listening
from treadle import Committed, Message, RunRecord, Store, Thread, ThreadChangeSet, open_store
from treadle.backends.postgres import _statements
from treadle.core.thread_commands import AppendThread, CreateThread
from treadle.errors import AlreadyExists, InvalidValue, StoreUnavailable, VersionConflict

MESSAGE = ThreadChangeSet(run_id="", reason="UserMessage", messages=(Message.user("hi"),))


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with open_store(url, migrate=True) as opened:
        yield opened


@pytest.fixture
async def connection(
    postgres_url: str, schema: str, store: Store
) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """A connection of the application, which has orders, and our schema in its search path."""
    async with await psycopg.AsyncConnection.connect(postgres_url) as opened:
        await opened.execute("CREATE TEMP TABLE orders (id text PRIMARY KEY)")
        await opened.execute(f"SET search_path = {schema}".encode())
        await opened.commit()
        yield opened


async def orders(connection: psycopg.AsyncConnection[Any]) -> list[str]:
    rows = await (await connection.execute("SELECT id FROM orders ORDER BY id")).fetchall()
    return [key for (key,) in rows]


async def test_both_are_visible_after_the_commit(
    store: Store, connection: psycopg.AsyncConnection[Any]
) -> None:
    async with connection.transaction():
        await connection.execute("INSERT INTO orders VALUES ('o1')")
        async with store.batch(connection=connection) as step:
            step.threads.create(Thread(id="t"))
            step.mailboxes.send("box", {"order": "o1"})
        assert await store.threads.load("t") is None
        assert await store.mailboxes.claim(consumer="w") == ()
    assert await orders(connection) == ["o1"]
    assert await store.threads.load("t") is not None
    (entry,) = await store.mailboxes.claim(consumer="w")
    assert entry.payload == {"order": "o1"}


async def test_a_rollback_discards_both(
    store: Store, connection: psycopg.AsyncConnection[Any]
) -> None:
    await connection.execute("INSERT INTO orders VALUES ('o1')")
    receipt = await store.commit((CreateThread(thread=Thread(id="t")),), connection=connection)
    assert receipt.results == (Committed(version=0),)
    await connection.rollback()
    assert await orders(connection) == []
    assert await store.threads.load("t") is None


async def test_a_batch_that_fails_leaves_the_transaction_as_it_was(
    store: Store, connection: psycopg.AsyncConnection[Any]
) -> None:
    await store.threads.create(Thread(id="t"))
    await connection.execute("INSERT INTO orders VALUES ('o1')")
    with pytest.raises(VersionConflict):
        async with store.batch(connection=connection) as step:
            step.mailboxes.send("box", 1)
            step.threads.append("t", MESSAGE, expected=7)
    async with store.batch(connection=connection) as step:
        step.threads.append("t", MESSAGE, expected=0)
    await connection.commit()
    assert await orders(connection) == ["o1"]
    assert (await store.mailboxes.count_entries()).queued == 0
    head = await store.threads.load("t")
    assert head is not None
    assert head.version == 1


async def test_a_later_batch_sees_an_earlier_one_of_the_same_transaction(
    store: Store, connection: psycopg.AsyncConnection[Any]
) -> None:
    async with connection.transaction():
        await store.commit((CreateThread(thread=Thread(id="t")),), connection=connection)
        with pytest.raises(AlreadyExists):
            await store.commit((CreateThread(thread=Thread(id="t")),), connection=connection)


async def test_a_blocking_connection_is_accepted(
    store: Store, postgres_url: str, connection: psycopg.AsyncConnection[Any]
) -> None:
    with psycopg.connect(postgres_url) as blocking:
        async with store.batch(connection=blocking) as step:
            step.threads.create(Thread(id="t"))
        assert await store.threads.load("t") is None
        blocking.commit()
    assert await store.threads.load("t") is not None


async def test_the_commit_wakes_waiting_callers_elsewhere(
    url: str, store: Store, connection: psycopg.AsyncConnection[Any]
) -> None:
    async with open_store(url) as elsewhere:
        waiting = asyncio.ensure_future(elsewhere.mailboxes.wait(20_000))
        await until_listening(url)
        async with connection.transaction(), store.batch(connection=connection) as step:
            step.mailboxes.send("box", 1)
        await asyncio.wait_for(waiting, 5)


async def test_a_connection_that_is_in_no_transaction_is_refused(
    store: Store, postgres_url: str
) -> None:
    connecting = psycopg.AsyncConnection.connect(postgres_url, autocommit=True)
    async with await connecting as connection:
        with pytest.raises(InvalidValue, match="begin one"):
            await store.commit((CreateThread(thread=Thread(id="t")),), connection=connection)
    assert await store.threads.load("t") is None


@pytest.mark.parametrize("level", ["REPEATABLE_READ", "SERIALIZABLE"])
async def test_a_transaction_on_one_snapshot_is_refused(
    store: Store, connection: psycopg.AsyncConnection[Any], level: str
) -> None:
    await connection.set_isolation_level(psycopg.IsolationLevel[level])
    with pytest.raises(InvalidValue, match="must be read committed"):
        await store.commit((CreateThread(thread=Thread(id="t")),), connection=connection)
    assert await orders(connection) == []


async def test_an_object_that_is_no_connection_is_refused(store: Store) -> None:
    with pytest.raises(InvalidValue, match="connection of psycopg"):
        await store.commit((CreateThread(thread=Thread(id="t")),), connection="postgresql://")


async def test_a_store_that_is_in_no_database_refuses_a_connection(
    connection: psycopg.AsyncConnection[Any],
) -> None:
    async with open_store("memory:") as elsewhere:
        with pytest.raises(InvalidValue, match="only a store in PostgreSQL"):
            await elsewhere.commit((CreateThread(thread=Thread(id="t")),), connection=connection)


async def test_a_connection_to_another_database_is_refused_with_advice(
    store: Store, postgres_url: str
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute("DROP DATABASE IF EXISTS treadle_other")
        server.execute("CREATE DATABASE treadle_other")
        other = postgres_url.replace("/postgres?", "/treadle_other?")
        with psycopg.connect(other) as connection, pytest.raises(StoreUnavailable, match="migrate"):
            await store.commit((CreateThread(thread=Thread(id="t")),), connection=connection)
        server.execute("DROP DATABASE treadle_other")


async def test_a_connection_whose_rows_are_dictionaries_is_accepted(
    store: Store, postgres_url: str
) -> None:
    connecting = psycopg.AsyncConnection.connect(postgres_url, row_factory=dict_row)
    async with await connecting as connection:
        await store.commit((CreateThread(thread=Thread(id="t")),), connection=connection)
        await connection.commit()
    assert await store.threads.load("t") is not None


@pytest.mark.parametrize("cursor", [psycopg.ClientCursor, psycopg.RawCursor])
async def test_a_connection_whose_cursors_bind_otherwise_is_accepted(
    store: Store, postgres_url: str, cursor: type[psycopg.Cursor[Any]]
) -> None:
    with psycopg.connect(postgres_url, cursor_factory=cursor) as connection:
        await store.commit((CreateThread(thread=Thread(id="t")),), connection=connection)
        connection.commit()
        assert connection.cursor_factory is cursor
    assert await store.threads.load("t") is not None


async def test_an_event_loop_s_connection_whose_cursors_bind_otherwise_is_accepted(
    store: Store, postgres_url: str
) -> None:
    connecting = psycopg.AsyncConnection.connect(
        postgres_url, cursor_factory=psycopg.AsyncRawCursor
    )
    async with await connecting as connection:
        await store.commit((CreateThread(thread=Thread(id="t")),), connection=connection)
        await connection.commit()
    assert await store.threads.load("t") is not None


@pytest.mark.parametrize("blocking", [False, True])
async def test_the_error_says_that_the_server_has_ended_the_session(
    url: str,
    store: Store,
    postgres_url: str,
    connection: psycopg.AsyncConnection[Any],
    blocking: bool,
) -> None:
    await store.threads.create(Thread(id="t"))
    await store.commit((AppendThread(thread_id="t", changes=MESSAGE),), connection=connection)
    other: psycopg.AsyncConnection[Any] | psycopg.Connection[Any]
    if blocking:
        other = psycopg.connect(postgres_url)
    else:
        other = await psycopg.AsyncConnection.connect(postgres_url)
    waiting = asyncio.ensure_future(
        store.commit((AppendThread(thread_id="t", changes=MESSAGE),), connection=other)
    )
    await until_blocked(url)
    await connection.execute("SELECT pg_terminate_backend(%s)", [other.info.backend_pid])
    with pytest.raises(StoreUnavailable, match="server closed the connection"):
        await waiting
    await connection.rollback()


async def test_a_batch_that_the_server_aborts_leaves_the_transaction_as_it_was(
    store: Store, postgres_url: str, connection: psycopg.AsyncConnection[Any]
) -> None:
    await store.threads.create(Thread(id="t"))
    with psycopg.connect(postgres_url) as other:
        async with store.batch(connection=other) as step:
            step.threads.append("t", MESSAGE)
        await connection.execute("INSERT INTO orders VALUES ('o1')")
        await connection.execute("SET LOCAL lock_timeout = '50ms'")
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            async with store.batch(connection=connection) as step:
                step.threads.append("t", MESSAGE)
        await connection.commit()
    assert await orders(connection) == ["o1"]


async def test_a_cancelled_caller_gets_the_connection_back(
    url: str, store: Store, postgres_url: str
) -> None:
    await store.threads.create(Thread(id="t"))
    with psycopg.connect(postgres_url) as other, psycopg.connect(postgres_url) as blocking:
        async with store.batch(connection=other) as step:
            step.threads.append("t", MESSAGE)
        batch = (AppendThread(thread_id="t", changes=MESSAGE),)
        committing = asyncio.ensure_future(store.commit(batch, connection=blocking))
        await until_blocked(url)
        committing.cancel()
        await asyncio.wait({committing}, timeout=0.05)
        assert not committing.done()
        other.rollback()
        with pytest.raises(asyncio.CancelledError):
            await committing
        blocking.rollback()
        assert blocking.execute("SELECT 1").fetchone() == (1,)


async def test_a_batch_that_is_too_large_leaves_the_transaction_as_it_was(
    store: Store, connection: psycopg.AsyncConnection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.threads.create(Thread(id="t"))
    await connection.execute("INSERT INTO orders VALUES ('o1')")
    monkeypatch.setattr(_statements, "LARGEST_VALUE", 100)
    with pytest.raises(InvalidValue, match="divide the batch"):
        async with store.batch(connection=connection) as step:
            step.threads.append("t", MESSAGE)
    assert (await (await connection.execute("TABLE threads")).fetchone()) is not None
    await connection.commit()
    assert await orders(connection) == ["o1"]


async def test_a_batch_that_is_cancelled_leaves_the_transaction_as_it_was(
    url: str, store: Store, postgres_url: str, connection: psycopg.AsyncConnection[Any]
) -> None:
    await store.threads.create(Thread(id="t"))
    await connection.execute("INSERT INTO orders VALUES ('o1')")
    async with await psycopg.AsyncConnection.connect(postgres_url) as other:
        async with store.batch(connection=other) as step:
            step.threads.append("t", MESSAGE)
        batch = (AppendThread(thread_id="t", changes=MESSAGE),)
        committing = asyncio.ensure_future(store.commit(batch, connection=connection))
        await until_blocked(url)
        committing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await committing
        await other.rollback()
    assert (await (await connection.execute("TABLE threads")).fetchone()) is not None
    await connection.commit()
    assert await orders(connection) == ["o1"]
    head = await store.threads.load("t")
    assert head is not None
    assert head.version == 0


async def test_a_run_is_found_by_the_owner_of_a_thread_that_is_created_meanwhile(
    store: Store, connection: psycopg.AsyncConnection[Any]
) -> None:
    async with store.batch(connection=connection) as step:
        step.runs.upsert(RunRecord(run_id="r", thread_id="new"))
    thread = Thread(id="new", resource_id="x")
    created = asyncio.create_task(store.threads.create(thread))
    await asyncio.wait({created}, timeout=0.5)  # it sees the run only if it waits for its commit
    await connection.commit()
    await created
    assert [run.run_id for run in (await store.runs.search(resource_id="x")).items] == ["r"]
