"""Connections: one trip to the server for many queries, and what the server's errors mean."""

from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import tuple_row

from treadle.backends.postgres.location import Location
from treadle.backends.postgres.statements import Query, Trips
from treadle.backends.sql.program import Row
from treadle.backends.sql.working_set import Overtaken
from treadle.errors import StoreUnavailable

T = TypeVar("T")

Connection: TypeAlias = psycopg.Connection[Any]
AsyncConnection: TypeAlias = psycopg.AsyncConnection[Any]

CONFLICTS = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.UniqueViolation,
    errors.DivisionByZero,
    Overtaken,
)
"""Another transaction was faster: all is rolled back, and may be tried again."""
_OUTAGES = ("08", "57P", "53300", "25006")
"""How the states begin that tell that the server is gone, going, full, or no longer the primary."""
_CONNECT_SECONDS = 10
"""How long a server may take to answer, if the URL does not tell."""


def connection_options(location: Location) -> dict[str, Any]:
    """How connections are made: transactions begin and end by statement."""
    prepares = location.prepared_statements == "on"
    return {"autocommit": True, "prepare_threshold": 2 if prepares else None}


def connect(location: Location) -> Connection:
    """A connection of our own.

    Raises:
        psycopg.Error: the server cannot be reached, or refuses us.
    """
    told: dict[str, Any] = {"connect_timeout": _CONNECT_SECONDS}
    told |= conninfo_to_dict(location.conninfo)
    return psycopg.connect(**told, **connection_options(location))


def send(connection: Connection, queries: Sequence[Query]) -> list[list[Row]]:
    """Send queries at once, and bring the rows of each: one trip to the server and back."""
    if len(queries) == 1:
        return [_rows(_execute(connection, queries[0]))]
    with connection.pipeline():
        cursors = [_execute(connection, query) for query in queries]
    return [_rows(cursor) for cursor in cursors]


def run(connection: Connection, trips: Trips[T]) -> T:
    """Make all trips."""
    try:
        queries = next(trips)
        while True:
            try:
                rows = send(connection, queries)
            except psycopg.Error as error:
                queries = trips.throw(error)
            else:
                queries = trips.send(rows)
    except StopIteration as end:
        result: T = end.value
        return result


async def run_async(connection: AsyncConnection, trips: Trips[T]) -> T:
    """Make all trips, on an event loop's connection."""
    try:
        queries = next(trips)
        while True:
            try:
                async with connection.pipeline():
                    cursors = [connection.cursor(row_factory=tuple_row) for _ in queries]
                    for cursor, query in zip(cursors, queries, strict=True):
                        await cursor.execute(query.text.encode(), query.values)
                rows = [await each.fetchall() if each.description else [] for each in cursors]
            except psycopg.Error as error:
                queries = trips.throw(error)
            else:
                queries = trips.send(rows)
    except StopIteration as end:
        result: T = end.value
        return result


def _execute(connection: Connection, query: Query) -> "psycopg.Cursor[Row]":
    """Rows are tuples, whatever the connection's owner has them made of."""
    return connection.cursor(row_factory=tuple_row).execute(query.text.encode(), query.values)


def _rows(cursor: "psycopg.Cursor[Row]") -> list[Row]:
    return cursor.fetchall() if cursor.description else []


def is_outage(error: psycopg.Error) -> bool:
    """Whether the server could not be reached, or went away: it may be back soon."""
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    return error.sqlstate is None or error.sqlstate.startswith(_OUTAGES)


def translated(error: psycopg.Error, location: Location) -> StoreUnavailable:
    """An error of the server as one of Treadle's; the driver's is to be its cause."""
    reason = str(error).strip() or type(error).__name__
    if isinstance(error, errors.UndefinedTable | errors.UndefinedColumn | errors.InvalidSchemaName):
        reason += f"; is schema {location.schema!r} up to date? `treadle migrate` brings it there"
    return StoreUnavailable(str(location), reason)
