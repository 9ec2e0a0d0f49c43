"""Commits inside a transaction of the caller's, together with the caller's other writes.

The connection, its settings and its timeouts are the caller's, so no deadline of ours applies.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from typing import Any, TypeAlias

import psycopg
from psycopg import pq
from psycopg.rows import tuple_row

from treadle.backends.cancellation import shielded
from treadle.backends.postgres._channel import NOTIFY
from treadle.backends.postgres._limits import CALLER_ATTEMPTS
from treadle.backends.postgres._notices import payloads_of
from treadle.backends.postgres._statements import Query, RoundTrips
from treadle.backends.postgres._transactions import Database
from treadle.backends.postgres.connection import (
    CONFLICTS,
    SEARCH_PATH,
    refused_value,
    unavailable,
)
from treadle.backends.sql.commit import Outcome, commit
from treadle.backends.sql.program import Row
from treadle.core.commands import Commands, Receipt
from treadle.core.hints import Hint
from treadle.errors import InvalidValue

Send: TypeAlias = Callable[[Sequence[Query]], Awaitable[list[list[Row]]]]

_SAVEPOINT = (
    Query("SAVEPOINT treadle"),
    Query("SHOW transaction_isolation"),
    Query("SHOW search_path"),
)
_SEARCH_PATH = Query(f"SELECT {SEARCH_PATH}")
_RESTORE_PATH = "SELECT pg_catalog.set_config('search_path', %(path)s, true)"
_UNDO = Query("ROLLBACK TO SAVEPOINT treadle")
_RELEASE = Query("RELEASE SAVEPOINT treadle")


class CallerTransaction:
    """Commits in transactions that callers have begun.

    Args:
        database: the database of the store.
    """

    def __init__(self, database: Database) -> None:
        self._location = database.location
        self._queries = database.queries
        self._damage = database.damage
        self._versions = database.versions

    async def commit(self, connection: object, batch: Commands, now: int | None) -> Receipt:
        """Apply a batch in the transaction of a psycopg connection, which its owner will commit.

        If the batch fails or is cancelled, the transaction is as it was before. On a blocking
        connection, a cancelled batch may be in it.

        Raises:
            InvalidValue: it is not a connection of psycopg, has another encoding than UTF-8, is in
                no transaction, or in one that reads a single snapshot and so does not see what
                others have just done; or the server refuses a value.
            StoreUnavailable: the server refuses; if it is gone, the transaction is lost with it.
        """
        try:
            outcome = await self._commit(connection, batch, now)
        except psycopg.Error as error:
            raise refused_value(error) or unavailable(error, self._location) from error
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _commit(self, connection: object, batch: Commands, now: int | None) -> Outcome:
        match connection:
            case psycopg.AsyncConnection():
                _check(connection)
                return await self._apply(partial(_send_async, connection), batch, now)
            case psycopg.Connection():
                _check(connection)
                # A caller that is cancelled gets the connection back when no thread uses it.
                in_thread = partial(_send_in_thread, connection)
                return await shielded(self._apply(in_thread, batch, now))
            case _:
                kind = type(connection).__name__
                raise InvalidValue(
                    "connection", f"it must be a connection of psycopg, not a {kind}"
                )

    async def _apply(self, send: Send, batch: Commands, now: int | None) -> Outcome:
        """Apply a batch under a savepoint, and again if others were faster."""
        _, ((isolation,),), ((path,),) = await send(_SAVEPOINT)
        if isolation != "read committed":
            await send((_RELEASE,))
            reason = f"its transaction is {isolation}; it must be read committed"
            raise InvalidValue("connection", reason)
        for left in reversed(range(CALLER_ATTEMPTS)):
            try:
                hints: set[Hint] = set()
                program = commit((batch,), now, self._damage, self._versions, hints)
                round_trips = RoundTrips(program, self._queries, (_SEARCH_PATH,))
                while round_trips.pending:
                    round_trips.answer(await send(round_trips.pending))
                restore = Query(_RESTORE_PATH, {"path": path})
                notices = self._notices(hints)
                await send((*round_trips.outcome.unsent, *notices, restore, _RELEASE))
            except asyncio.CancelledError:
                with suppress(psycopg.Error):  # a lost connection has lost its transaction, too
                    await send((_UNDO,))
                raise
            except Exception as error:
                try:
                    await send((_UNDO,))
                except psycopg.Error:  # a lost connection says less than the error that came first
                    raise error from None
                if not left or not isinstance(error, CONFLICTS):
                    raise
            else:
                return round_trips.outcome.result[0]
        raise AssertionError("a loop that always returns or raises")

    def _notices(self, hints: set[Hint]) -> list[Query]:
        """The notices that all processes, including this one, hear when the caller commits."""
        channel = self._location.channel
        return [
            Query(NOTIFY, {"channel": channel, "payload": payload})
            for payload in payloads_of(hints)
        ]


async def _send_async(
    connection: "psycopg.AsyncConnection[Any]", queries: Sequence[Query]
) -> list[list[Row]]:
    """As `_send`, on a connection of the event loop."""
    async with connection.pipeline():
        # Rows are tuples, and values are bound by name, whatever the owner of the connection has
        # chosen for its cursors.
        cursors = [psycopg.AsyncCursor(connection, row_factory=tuple_row) for _ in queries]
        for cursor, query in zip(cursors, queries, strict=True):
            await cursor.execute(query.text.encode(), query.values)
    return [await each.fetchall() if each.description else [] for each in cursors]


async def _send_in_thread(
    connection: "psycopg.Connection[Any]", queries: Sequence[Query]
) -> list[list[Row]]:
    return await asyncio.to_thread(_send, connection, queries)


def _send(connection: "psycopg.Connection[Any]", queries: Sequence[Query]) -> list[list[Row]]:
    """Send queries at once and return the rows of each: one round trip to the server."""
    cursors: list[psycopg.Cursor[Row]] = []
    with connection.pipeline() if len(queries) > 1 else nullcontext():
        for query in queries:
            cursor = psycopg.Cursor(connection, row_factory=tuple_row)  # as in `_send_async`
            cursors.append(cursor.execute(query.text.encode(), query.values))
    rows: list[list[Row]] = []
    for cursor in cursors:
        rows.append(cursor.fetchall() if cursor.description else [])
    return rows


def _check(connection: "psycopg.BaseConnection[Any]") -> None:
    if connection.info.encoding != "utf-8":
        encoding = connection.info.parameter_status("client_encoding")
        reason = f"its client_encoding is {encoding}, which cannot hold all texts; it must be UTF8"
        raise InvalidValue("connection", reason)
    idle = connection.info.transaction_status == pq.TransactionStatus.IDLE
    if connection.autocommit and idle:
        reason = "it is in no transaction; begin one with `async with connection.transaction()`"
        raise InvalidValue("connection", reason)
