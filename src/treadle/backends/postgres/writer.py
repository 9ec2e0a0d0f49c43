"""Writers: a transaction is tried until it is known to be committed, and is never applied twice."""

import random
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeAlias, TypeVar

import psycopg
from psycopg import errors

from treadle.backends.postgres.connection import CONFLICTS, Connection, run, send, translated
from treadle.backends.postgres.database import PATIENCE_SECONDS, Database
from treadle.backends.postgres.statements import Query, trips
from treadle.backends.sql.program import Program
from treadle.errors import StoreUnavailable

T = TypeVar("T")
Submit: TypeAlias = Callable[..., "Future[Any]"]
"""Has a call made on a thread of its own, as `Executor.submit` does."""

_PAUSE_SECONDS = (0.002, 0.02)
_CONFLICTS = 5
"""How often a transaction that meets others is tried again before its calls are parted."""
_BEGIN = Query("BEGIN ISOLATION LEVEL READ COMMITTED")
"""Each statement sees what was committed before it: whatever the default of the database is."""
_COMMIT = Query("COMMIT")
"""Ends what wrote nothing, too: after a ROLLBACK the driver prepares all its statements anew."""
SETTINGS = """SELECT
    set_config('lock_timeout', '{lock_timeout_ms}', true),
    set_config('synchronous_commit', '{synchronous_commit}', true),
    set_config('plan_cache_mode', 'force_generic_plan', true),
    set_config('enable_seqscan', 'off', true),
    set_config('enable_hashjoin', 'off', true),
    set_config('enable_mergejoin', 'off', true)"""
"""Of a transaction, not of a session, which a pooler may give to others. Every statement goes by an
index: what the planner knew of a table when it was small must not lead it to read all of it."""


class Blocked(Exception):
    """Other transactions keep what this one wants."""


class Writer:
    """Writes one transaction after the other, each under a number that is stored with it."""

    def __init__(self, database: Database, lock_timeout_ms: int) -> None:
        self._database = database
        self._name = uuid.uuid4().hex
        self._number = 0
        settings = SETTINGS.format(
            lock_timeout_ms=lock_timeout_ms,
            synchronous_commit="on" if database.durability == "full" else "off",
        )
        self._opening = (_BEGIN, Query(settings))

    def write(self, program: Callable[[], Program[T]]) -> T:
        """What comes of a program once it is committed; `program` begins it anew.

        Raises:
            Blocked: others keep what it wants; nothing was written.
            StoreUnavailable: the server refuses, or is away for too long. If it went away at the
                end of a commit and does not come back, the commit may have happened.
        """
        self._number += 1
        attempt = Attempt(self._database, self._opening, self._name, self._number)
        until = time.monotonic() + PATIENCE_SECONDS
        conflicts = 0
        while True:
            try:
                return self._database.call(lambda connection: attempt.make(connection, program()))
            except (*CONFLICTS, errors.LockNotAvailable) as error:
                conflicts += 1
                if attempt.is_in_doubt:  # only under its number is it known not to be made twice
                    if time.monotonic() > until:
                        where = str(self._database.location)
                        raise attempt.telling_doubt(StoreUnavailable(where, str(error))) from error
                elif conflicts > _CONFLICTS or isinstance(error, errors.LockNotAvailable):
                    raise Blocked from error
                time.sleep(random.uniform(*_PAUSE_SECONDS) * min(conflicts, 10))  # noqa: S311
            except psycopg.Error as error:
                raise attempt.telling_doubt(translated(error, self._database.location)) from error
            except StoreUnavailable as error:
                raise attempt.telling_doubt(error) from error.__cause__


class Attempt:
    """The attempts at one transaction; what came of it, while its end is not known."""

    def __init__(
        self, database: Database, opening: Sequence[Query], writer: str, number: int
    ) -> None:
        marked = {"writer": writer, "number": number}
        self._queries = database.queries
        self._opening = opening
        self._mark = database.queries.named("insert_commit", **marked)
        self._mark_once = database.queries.named("insert_commit_once", **marked)
        self._in_doubt: list[Any] = []

    @property
    def is_in_doubt(self) -> bool:
        """Whether it may have been committed."""
        return bool(self._in_doubt)

    def telling_doubt(self, error: StoreUnavailable) -> StoreUnavailable:
        """The error; it says so if the transaction may have been committed."""
        if not self._in_doubt:
            return error
        reason = f"{error.reason}; whether the last commit happened is not known"
        return StoreUnavailable(error.where, reason)

    def make(self, connection: Connection, program: Program[T]) -> T:
        """What comes of the program, committed now or, as it turns out, before."""
        if self._in_doubt:
            return self._make_again(connection, program)
        made = run(connection, trips(program, self._queries, self._opening))
        if not made.writes:
            send(connection, [_COMMIT])
            return made.result
        self._in_doubt = [made.result]
        send(connection, [*made.waiting, self._mark, _COMMIT])
        return made.result

    def _make_again(self, connection: Connection, program: Program[T]) -> T:
        """The mark comes first: it waits for the end that is in doubt, and tells what it was."""
        *_, marked = send(connection, [*self._opening, self._mark_once])
        if not marked:
            connection.rollback()
            known: T = self._in_doubt[0]
            return known
        made = run(connection, trips(program, self._queries))
        self._in_doubt = [made.result]
        send(connection, [*made.waiting, _COMMIT])
        return made.result
