"""A connection to the server: a deadline for every answer, and what the server's errors mean."""

import math
import os
import select
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent import futures
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from typing import Any, NoReturn, Protocol, TypeAlias, TypeVar

import psycopg
from psycopg import errors
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.waiting import Ready, Wait

from treadle.backends._deadline import Deadline, Patience
from treadle.backends._forks import give_up_in_children
from treadle.backends.postgres._exchange import Exchange
from treadle.backends.postgres._limits import (
    ANSWER_SECONDS,
    CONNECT_SECONDS,
    KEEPALIVES,
    WANTED_SECONDS,
)
from treadle.backends.postgres._statements import Query
from treadle.backends.postgres.location import Location
from treadle.backends.sql.program import Row
from treadle.backends.sql.working_set import StaleRead
from treadle.errors import InvalidValue, StoreUnavailable

T = TypeVar("T")

AsyncConnection: TypeAlias = psycopg.AsyncConnection[Any]

SEARCH_PATH = "pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)"
"""Sets where a transaction looks for names: functions, operators and types are the server's.

With another path, somebody who may create functions in `public` could have ours call theirs, with
our rights. Tables are named with their schema. `pg_temp`, if left out, would come first.
"""

CONFLICTS = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.UniqueViolation,
    # Some writes divide by zero if they do not meet the rows that were read. They are sent together
    # with the COMMIT, so nobody could look at a count and roll back; the statement has to fail.
    errors.DivisionByZero,
    StaleRead,
)
"""Another transaction was faster: everything is rolled back, and may be tried again."""

_OUTAGES = ("08", "57P", "53300", "25006", "25P04")
"""Beginnings of the error codes that mean: the server is gone, going, full, or only a standby now,
or has ended a transaction that took too long."""

_OF_POOLERS = (errors.InvalidSqlStatementName, errors.DuplicatePreparedStatement)
"""A session lacks a statement that we have prepared in it, or has one that we have not."""

_REFUSALS = ("22", "23", "54")
"""Beginnings of the error codes that mean: a value cannot be stored, breaks a constraint, or is too
large."""

_HAS_POLL = hasattr(select, "poll")
"""Not on Windows."""
_POLLIN: int = getattr(select, "POLLIN", 1)
_POLLOUT: int = getattr(select, "POLLOUT", 4)
_POLLED = {Wait.R: _POLLIN, Wait.W: _POLLOUT, Wait.RW: _POLLIN | _POLLOUT}
"""What psycopg waits for, as events of `select.poll`."""
_READY = {_POLLIN: Ready.R, _POLLOUT: Ready.W}
"""What is ready after an event, if not both: an error or a hang-up counts as both, so that psycopg
meets it."""


class NoAnswer(psycopg.OperationalError):
    """The server did not answer; the connection is closed."""


class Watch(Protocol):
    """Asks about a connection on which the server does not answer."""

    @property
    def seconds(self) -> float:
        """How long the server may be silent before it is asked, and between two questions."""
        ...

    @property
    def grace(self) -> float:
        """How many seconds a server that has answered elsewhere may take to answer here, too."""
        ...

    @property
    def holders(self) -> str:
        """Who held rows that the session waited for when the server was asked; empty if nobody."""
        ...

    def begin(self, seconds: float) -> None:
        """Begin to look after a new use of the connection."""
        ...

    def is_lost(self, deadline: Deadline) -> bool:
        """Return True if the server waits for us, as we wait for it, or has ended the session."""
        ...

    def end(self) -> None:
        """End the session on the server, unless it is working."""
        ...


class Connection(psycopg.Connection[Any]):
    """A connection that waits for the server's answers as long as its patience allows."""

    patience: Patience | None = None
    """None: no limit."""
    watch: Watch | None = None
    prepares = False
    """Whether the session keeps statements that `send` prepares."""

    @cached_property
    def _exchange(self) -> Exchange:
        return Exchange(self)

    @property
    def holders(self) -> str:
        """Who held rows that were waited for, as far as the server was asked."""
        return "" if self.watch is None else self.watch.holders

    def send(self, queries: Sequence[Query]) -> list[list[Row]]:
        """Send queries at once, and return the rows of each: one round trip to the server.

        Raises:
            psycopg.Error: that of the first query that fails; nothing after it was carried out.
        """
        return self.wait(self._exchange.carry_out(queries, prepares=self.prepares))

    def give_up(self) -> None:
        """Close the socket of a forked child; the parent's session goes on."""
        if self.closed:
            return
        # `close` says goodbye to the server, for the parent: it gets a file that leads nowhere.
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, self.fileno(), inheritable=False)
        os.close(nowhere)
        self.close()

    def wait(self, gen: PQGen[T], *arguments: Any, **options: Any) -> T:
        """Run a generator of psycopg that communicates with the server.

        psycopg's own method waits for a server that has stopped answering for as long as the
        connection is not closed, which may be hours. On Windows, which has no `poll`, it still
        does.

        Raises:
            NoAnswer: the patience is over, or the connection has fallen silent.
        """
        if self.patience is None or not _HAS_POLL:
            return super().wait(gen, *arguments, **options)
        patience, end = self.patience, self.patience.deadline.at + ANSWER_SECONDS
        try:
            state = next(gen)
            if state != Wait.R:
                # A socket is nearly always ready for writing. If not, the generator asks again.
                state = gen.send(Ready.W)
            while True:
                event = self._event(_POLLED[state], end, patience.is_wanted)
                if event is None:
                    self._give_up(gen)
                state = gen.send(_READY.get(event, Ready.RW))
        except StopIteration as end_of_generator:
            result: T = end_of_generator.value
            return result

    def _event(self, wanted: int, end: float, is_wanted: Callable[[], bool]) -> int | None:
        """Wait for an event of the socket; None if the wait is over without one."""
        while self.watch is not None:
            looks_at = time.monotonic() + self.watch.seconds
            if looks_at >= end:
                break
            if (event := self._poll(wanted, looks_at, is_wanted)) or not is_wanted():
                return event
            if self.watch.is_lost(Deadline(end)):
                # It may have answered while we asked.
                until = min(end, time.monotonic() + self.watch.grace)
                if event := self._poll(wanted, until, is_wanted):
                    return event
                self.watch.end()
                return None
        return self._poll(wanted, end, is_wanted)

    def _poll(self, wanted: int, end: float, is_wanted: Callable[[], bool]) -> int | None:
        poll = select.poll()
        poll.register(self.pgconn.socket, wanted)  # raises if the connection is closed
        while True:
            left = max(0.0, end - time.monotonic())
            for _, event in poll.poll(min(left, WANTED_SECONDS) * 1000):
                return event
            if not left or not is_wanted():
                return None

    def _give_up(self, gen: PQGen[Any]) -> NoReturn:
        """Close the connection: a late answer must not be taken for that of the next query."""
        error = NoAnswer("the server does not answer")
        self.close()
        with suppress(psycopg.Error):  # the generator cleans up, and meets the closed connection
            gen.throw(error)
        raise error


def connect(
    location: Location,
    patience: Patience | None = None,
    connection_class: type[Connection] = Connection,
) -> Connection:
    """Connect to the server, as long as `patience` allows; transactions begin and end by statement.

    Raises:
        psycopg.Error: the server cannot be reached, or refuses us.
        InvalidValue: the database has another encoding than UTF-8.
    """
    options: dict[str, Any] = KEEPALIVES | dict(conninfo_to_dict(location.conninfo))
    if float(options.get("connect_timeout", 0)) <= 0:  # for libpq that is no limit
        options["connect_timeout"] = CONNECT_SECONDS
    options["client_encoding"] = "UTF8"  # whatever the URL, the environment or the role says
    connecting = partial(
        connection_class.connect,
        **options,
        autocommit=True,
        # With statements of its own, psycopg would remove all of them, ours too, at a ROLLBACK.
        prepare_threshold=None,
    )
    connection = connecting() if patience is None else _connect_patiently(connecting, patience)
    connection.patience = patience
    connection.prepares = location.prepared_statements == "on"
    give_up_in_children(connection)
    # For `begin`; whatever the default of the database is.
    connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    try:
        _require_utf8(connection)
    except InvalidValue:
        connection.close()
        raise
    return connection


def _connect_patiently(connecting: Callable[[], Connection], patience: Patience) -> Connection:
    """Connect on a thread: the name of a host may take long to find, and nothing interrupts that.

    If nobody waits for the connection when it is there, the thread closes it.
    """
    result: Future[Connection] = Future()

    def work() -> None:
        try:
            connection = connecting()
        except BaseException as error:  # it is raised to the caller, if one waits
            if result.set_running_or_notify_cancel():
                result.set_exception(error)
            return
        if result.set_running_or_notify_cancel():
            result.set_result(connection)
        else:
            connection.close()

    thread = threading.Thread(target=work, name="treadle-postgres-connect", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:  # the process may have no more; as with a server that is away
        raise psycopg.OperationalError(str(error)) from error
    while True:
        if futures.wait((result,), WANTED_SECONDS).done:
            return result.result()
        if patience.is_over and result.cancel():
            raise NoAnswer("connection timeout: the server does not answer")


def _require_utf8(connection: Connection) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise InvalidValue(
            "url",
            f"database {connection.info.dbname!r} has the encoding {encoding}, which cannot hold "
            "all texts; use one that `createdb -E UTF8 -T template0` created",
        )


@contextmanager
def begin(connection: Connection) -> Generator[None, None, None]:
    """A transaction that writes, in which names mean those of the server (see `SEARCH_PATH`).

    It waits for locks as long as the connection's patience allows, if that has an end.
    """
    patience = connection.patience
    with connection.transaction():
        connection.execute(f"SELECT {SEARCH_PATH}".encode())
        if patience is not None and math.isfinite(patience.deadline.at):
            # Otherwise the session would go on with its wait on the server when ours is over.
            lock_ms = max(1, int(patience.deadline.seconds_left() * 1000))
            connection.execute(f"SET LOCAL lock_timeout = {lock_ms}".encode())
        yield


def is_outage(error: psycopg.Error) -> bool:
    """Return True if the server could not be reached or went away: it may be back soon."""
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate.startswith(_OUTAGES)


def is_in_doubt(error: psycopg.Error) -> bool:
    """Return True if the server may have carried out what it was sent, or may not."""
    return is_outage(error) and not isinstance(error, errors.ReadOnlySqlTransaction)


def refused_value(error: psycopg.Error) -> InvalidValue | None:
    """The error for a value that the server refuses; None if the error is about something else."""
    if isinstance(error, CONFLICTS) or not (error.sqlstate or "").startswith(_REFUSALS):
        return None
    return InvalidValue("batch", f"PostgreSQL cannot store a value: {error.diag.message_primary}")


def unavailable(error: psycopg.Error, location: Location) -> StoreUnavailable:
    """An error of the server as one of Treadle's; raise it from the driver's."""
    reason = str(error).strip() or type(error).__name__
    if isinstance(error, errors.UndefinedTable | errors.UndefinedColumn | errors.InvalidSchemaName):
        reason += f"; is schema {location.schema!r} up to date? `treadle migrate` brings it there"
    if isinstance(error, errors.ReadOnlySqlTransaction):
        reason += "; the server is a standby, or its `default_transaction_read_only` is on"
    if isinstance(error, _OF_POOLERS):
        reason += "; does a pooler share its sessions? Add prepared_statements=off to the URL"
    return StoreUnavailable(str(location), reason)
