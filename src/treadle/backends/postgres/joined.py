"""Commits inside a transaction of the caller's, beside the caller's own tables."""

import asyncio
from typing import Any

import psycopg
from psycopg import pq

from treadle.backends.cancellation import shielded
from treadle.backends.postgres.connection import CONFLICTS, run, run_async, translated
from treadle.backends.postgres.location import Location
from treadle.backends.postgres.statements import Queries, Query, Trips, trips
from treadle.backends.sql.commit import Outcome, commit
from treadle.backends.sql.working_set import Overtaken
from treadle.core.commands import Commands, Receipt
from treadle.errors import InvalidValue

_TIMES = 5
_SAVE = (Query("SAVEPOINT treadle"), Query("SHOW transaction_isolation"))
_UNDO = Query("ROLLBACK TO SAVEPOINT treadle")
_RELEASE = Query("RELEASE SAVEPOINT treadle")


class Joined:
    """Commits in the transactions of others."""

    def __init__(self, location: Location, queries: Queries) -> None:
        self._location = location
        self._queries = queries

    async def commit(self, connection: object, batch: Commands, now: int | None) -> Receipt:
        """Apply a batch in the transaction of a psycopg connection, which its owner will commit.

        If the batch fails, the transaction is as it was before.

        Raises:
            InvalidValue: it is no connection of psycopg, is in no transaction, or in one that sees
                everything on one snapshot, and so not what others have just done.
            StoreUnavailable: the server refuses; if it is away, the transaction is lost with it.
        """
        try:
            outcome = await self._commit(connection, batch, now)
        except psycopg.Error as error:
            raise translated(error, self._location) from error
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _commit(self, connection: object, batch: Commands, now: int | None) -> Outcome:
        trips = self._trips(batch, now)
        if isinstance(connection, psycopg.AsyncConnection):
            _require_transaction(connection)
            return await run_async(connection, trips)
        if isinstance(connection, psycopg.Connection):
            _require_transaction(connection)
            return await shielded(asyncio.to_thread(run, connection, trips))
        kind = type(connection).__name__
        raise InvalidValue("connection", f"it must be a connection of psycopg, not a {kind}")

    def _trips(self, batch: Commands, now: int | None) -> Trips[Outcome]:
        """Applied under a savepoint, again if others were faster."""
        _, ((isolation,),) = yield _SAVE
        if isolation != "read committed":
            yield (_RELEASE,)
            reason = f"its transaction is {isolation}; it must be read committed"
            raise InvalidValue("connection", reason)
        for left in reversed(range(_TIMES)):
            try:
                made = yield from trips(commit((batch,), now), self._queries)
                yield (*made.waiting, self._notice(), _RELEASE)
            except (psycopg.Error, Overtaken) as error:
                yield (_UNDO,)
                if not left or not isinstance(error, CONFLICTS):
                    raise
            else:
                return made.result[0]
        raise AssertionError("a loop that always returns or raises")

    def _notice(self) -> Query:
        """Given to others when the transaction is committed."""
        return Query("SELECT pg_notify(%(channel)s, '')", {"channel": self._location.channel})


def _require_transaction(connection: "psycopg.BaseConnection[Any]") -> None:
    idle = connection.info.transaction_status == pq.TransactionStatus.IDLE
    if connection.autocommit and idle:
        reason = "it is in no transaction; begin one with `async with connection.transaction()`"
        raise InvalidValue("connection", reason)
