"""A server that takes no writes: a standby, or a database that somebody has made read-only.

A name may lead to a standby for a while after the primary has moved, and a session there lasts.
"""

import asyncio
import select
import threading
from collections.abc import Iterator, Sequence
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors, sql

from treadle import Message, Store, Thread
from treadle.backends._deadline import Deadline
from treadle.backends.postgres._statements import Query
from treadle.backends.postgres._transactions import Database, Transaction
from treadle.backends.postgres.backend import PostgresBackend
from treadle.backends.postgres.connection import Connection, connect
from treadle.backends.postgres.location import Location, parse_location
from treadle.backends.postgres.schema import migrate
from treadle.backends.sql.program import Program, Row, Write
from treadle.errors import StoreUnavailable


class Primary:
    """A database of its own, whose new sessions can be made those of a standby."""

    def __init__(self, connection: psycopg.Connection, name: str, location: Location) -> None:
        self._connection = connection
        self._name = name
        self.location = location

    def is_away(self, *, away: bool = True) -> None:
        """Let new sessions refuse writes, or take them; those that are there do as before."""
        change = "ALTER DATABASE {} SET default_transaction_read_only = {}"
        setting = sql.SQL("on" if away else "off")
        self._connection.execute(sql.SQL(change).format(sql.Identifier(self._name), setting))
        if away:
            self._connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                (self._name,),
            )


@pytest.fixture
def primary(postgres_url: str) -> Iterator[Primary]:
    name = f"treadle_{uuid4().hex[:12]}"
    joint = "&" if "?" in postgres_url else "?"
    location = parse_location(f"{postgres_url}{joint}dbname={name}&listen=off")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        migrate(location)
        yield Primary(connection, name, location)
        drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
        connection.execute(drop.format(sql.Identifier(name)))


class Noticing(Connection):
    """A connection that tells the test when the server has refused to write."""

    refused: threading.Event

    def send(self, queries: Sequence[Query]) -> list[list[Row]]:
        try:
            return super().send(queries)
        except errors.ReadOnlySqlTransaction:
            self.refused.set()
            raise


@pytest.mark.parametrize("call", ["commit", "claim"])
async def test_a_write_goes_on_once_a_server_takes_it(primary: Primary, call: str) -> None:
    class Observed(Noticing):
        refused = threading.Event()

    async with Store(PostgresBackend(primary.location, connection_class=Observed)) as store:
        await store.threads.create(Thread(id="t"))
        await store.mailboxes.send("box", 1)
        primary.is_away()
        writing: asyncio.Task[object] = asyncio.ensure_future(
            store.threads.append("t", Message.user("x"))
            if call == "commit"
            else store.mailboxes.claim(consumer="w")
        )
        assert await asyncio.to_thread(Observed.refused.wait, 20)
        primary.is_away(away=False)
        assert await asyncio.wait_for(writing, 20)


async def test_a_write_that_no_server_takes_is_refused_with_the_reason(primary: Primary) -> None:
    async with Store(PostgresBackend(primary.location, call_seconds=0.3)) as store:
        await store.threads.create(Thread(id="t"))
        primary.is_away()
        with pytest.raises(StoreUnavailable, match=r"read-only transaction; .* a standby"):
            await store.threads.append("t", Message.user("x"))
        assert await store.threads.message_count("t") == 0


def test_a_write_that_the_server_has_refused_is_not_in_doubt(primary: Primary) -> None:
    """The statement and the COMMIT are sent together, and the answer says that nothing happened."""

    def program() -> Program[None]:
        yield (Write("delete_mailbox", ({"mailbox_id": "box"},)),)

    database = Database(primary.location, "full", Connection)
    primary.is_away()
    transaction = Transaction(database, program, Deadline.after(0.3))
    with pytest.raises(StoreUnavailable, match="read-only transaction"):
        transaction.run()
    assert not transaction.is_in_doubt
    database.close()


def test_a_session_that_the_server_ends_says_why(postgres_url: str) -> None:
    location = parse_location(postgres_url)
    ended = Query("SELECT pg_terminate_backend(pg_backend_pid())")
    idle = Query("SELECT set_config('idle_in_transaction_session_timeout', '1', true)")
    with connect(location) as connection, pytest.raises(psycopg.OperationalError) as lost:
        connection.send([Query("SELECT 1"), ended, Query("SELECT pg_sleep(5)")])
    assert "due to administrator command" in str(lost.value)
    with connect(location) as connection, pytest.raises(psycopg.OperationalError) as lost:
        connection.send([Query("BEGIN"), idle])
        select.select([connection], [], [], 10)  # it is readable once the server has ended it
        connection.send([Query("SELECT 1")])
    assert "idle-in-transaction timeout" in str(lost.value)
