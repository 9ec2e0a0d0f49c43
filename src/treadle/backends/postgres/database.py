"""The database of a store: its pool of connections, and how long its absence is borne."""

import random
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeVar

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from treadle.backends.base import Durability
from treadle.backends.postgres.connection import (
    Connection,
    connect,
    connection_options,
    is_outage,
    send,
    translated,
)
from treadle.backends.postgres.location import Location
from treadle.backends.postgres.schema import check_schema
from treadle.backends.postgres.statements import Queries
from treadle.errors import StoreUnavailable

T = TypeVar("T")

CONNECTIONS = 10
"""Most connections of a store, beside the two of its notices."""
PATIENCE_SECONDS = 30
"""How long a server that went away is waited for, and a row that somebody keeps locked."""
_PAUSE_SECONDS = (0.05, 0.25)


class Database:
    """What readers and writers of a store share."""

    def __init__(
        self, location: Location, durability: Durability, connection_class: type[Connection]
    ) -> None:
        self._connection_class = connection_class
        self.location = location
        self.durability = durability
        self.queries = Queries(location)

    def open(self) -> None:
        """Connect, and see that the schema is one that this Treadle can work with.

        Raises:
            SchemaTooOld, SchemaTooNew, CorruptRecord: it is not.
            StoreUnavailable: the server cannot be reached, or refuses us.
        """
        try:
            with connect(self.location) as connection:
                check_schema(connection, self.location)
                send(connection, [self.queries.named("delete_commits")])
        except psycopg.Error as error:
            raise translated(error, self.location) from error
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            self.location.conninfo,
            connection_class=self._connection_class,
            kwargs=connection_options(self.location),
            min_size=1,
            max_size=CONNECTIONS,
            name="treadle",
            open=True,
        )

    def close(self) -> None:
        """Let go of all connections."""
        self._pool.close()

    def call(self, work: Callable[[Connection], T]) -> T:
        """Do some work on a connection; again and again while the server is away.

        Raises:
            StoreUnavailable: the server refuses, or is away for too long.
            Exception: whatever else `work` raises; its transaction is rolled back.
        """
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with self._connection(until) as connection:
                    return work(connection)
            except psycopg.Error as error:
                if not is_outage(error) or time.monotonic() > until:
                    raise
                self._pool.check()  # lets go of those that were lost with the server
                time.sleep(random.uniform(*_PAUSE_SECONDS))  # noqa: S311

    @contextmanager
    def _connection(self, until: float) -> Generator[Connection, None, None]:
        """One of the pool's, in no transaction before and after."""
        try:
            connection = self._pool.getconn(timeout=max(until - time.monotonic(), 0.1))
        except PoolTimeout as error:
            raise StoreUnavailable(str(self.location), f"no connection in time: {error}") from error
        try:
            yield connection
        except BaseException:
            if not connection.closed:
                connection.rollback()
            raise
        finally:
            self._pool.putconn(connection)
