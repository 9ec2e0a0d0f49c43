"""Transactions: each is tried until it is known to be committed, or its deadline has passed.

`Commits.carry_out` commits a group of batches in one transaction. `Transaction.run` makes attempts
until one succeeds. `Transaction._attempt` makes one, and calls `Connection.send` twice as a rule;
each call is a round trip to the server. All limits are in `_limits.py`.
"""

import random
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec
import psycopg
from psycopg import errors

from treadle.backends._damage import DamageLog
from treadle.backends._deadline import Deadline, Patience
from treadle.backends._group_thread import Failure
from treadle.backends.base import Durability
from treadle.backends.model.tables import VersionSource
from treadle.backends.postgres._connections import Connections
from treadle.backends.postgres._limits import (
    ANSWER_SECONDS,
    CLOSING_SECONDS,
    CONFLICT_PAUSE_SECONDS,
    GROUP_LOCK_MS,
    HOLDER_SECONDS,
    MOST_CONFLICTS,
    OUTAGE_PAUSE_SECONDS,
    SILENCE_SECONDS,
    SINGLE_LOCK_MS,
)
from treadle.backends.postgres._obstacles import Obstacles
from treadle.backends.postgres._settings import (
    BEGIN,
    BEGIN_READING,
    COMMIT,
    KNOWS_TRANSACTION_TIMEOUT,
    READING_SETTINGS,
    SETTINGS,
    TIMED_READING_SETTINGS,
    TIMED_SETTINGS,
)
from treadle.backends.postgres._statements import Queries, Query, RoundTrips, Uncommitted
from treadle.backends.postgres.connection import (
    CONFLICTS,
    Connection,
    begin,
    is_in_doubt,
    is_outage,
    refused_value,
    unavailable,
)
from treadle.backends.postgres.location import Location
from treadle.backends.postgres.schema import check_schema
from treadle.backends.sql.commit import Outcome, commit
from treadle.backends.sql.program import Program, Read
from treadle.clock import new_token
from treadle.core.commands import Commands, Receipt
from treadle.core.hints import Hint
from treadle.errors import StoreUnavailable

T = TypeVar("T")
Submit: TypeAlias = Callable[..., "Future[Any]"]
"""Has a call carried out on a thread of the `Waiters`."""

GiveHints: TypeAlias = Callable[[Collection[Hint]], None]
"""Gives hints about what was committed to the listeners."""


class Blocked(Exception):
    """Other transactions hold rows that this one needs, or were faster each time."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def before(self, error: StoreUnavailable) -> StoreUnavailable:
        """Return the error of a later attempt, with the reason why that attempt was needed."""
        both = StoreUnavailable(error.where, f"{self.reason}; then {error.reason}")
        both.__cause__ = error.__cause__
        return both


class Call(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """A request of a caller, and its deadline."""

    request: T
    deadline: Deadline


class Database:
    """What the transactions of a store share."""

    def __init__(
        self,
        location: Location,
        durability: Durability,
        connection_class: type[Connection],
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self.location = location
        self.damage = DamageLog(str(location))
        self.versions = VersionSource()
        self.queries = Queries(location)
        self.connections = Connections(location, connection_class, silence_seconds)
        self.synchronous_commit = "on" if durability == "full" else "off"
        self._writers = _Writers()
        self._end: Deadline | None = None

    def is_wanted(self) -> bool:
        """Return False if the store was closed and its calls had their time to end."""
        return self._end is None or not self._end.has_passed

    def begin_to_close(self) -> None:
        """Let all calls end soon."""
        if self._end is None:
            self._end = Deadline.after(CLOSING_SECONDS)

    def open(self, patience: Patience, *, read_only: bool = False) -> None:
        """Connect, and check that this Treadle can work with the schema.

        With `read_only`, nothing is written: the server may be a standby.

        Raises:
            SchemaTooOld, SchemaTooNew, CorruptRecord, InvalidValue: it cannot.
            StoreUnavailable: the server cannot be reached, refuses us or does not answer.
        """
        self._end = None
        try:
            with self.connections.hold(patience) as connection, begin(connection):
                check_schema(connection, self.location)
                if not read_only:
                    connection.send([self.queries.of(Read("delete_commits", {}))])
        except BaseException as error:
            self.close()
            if isinstance(error, psycopg.Error):
                raise unavailable(error, self.location) from error
            raise

    def close(self) -> None:
        """Close all connections; none may be in use."""
        self.connections.close_idle()

    def new_mark(self) -> dict[str, object]:
        """The row that identifies a transaction in the table `commits`."""
        self._writers.number += 1
        return {"writer": self._writers.name, "number": self._writers.number}

    def keep_mark(self) -> None:
        """Let no later transaction of this thread remove the mark of the present one.

        It must stay in the way of an attempt that may still come to its COMMIT.
        """
        self._writers.begin()


class _Writers(threading.local):
    """A writer for each thread: it writes one transaction after the other, and numbers them."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.name = new_token()
        self.number = 0


class Transaction(Generic[T]):
    """One transaction, tried again after conflicts and outages; it is never applied twice.

    Args:
        database: where.
        program: begins the program, once for each attempt.
        deadline: no attempt begins, and no wait ends, after it.
        lock_ms: how long to wait for a lock; None waits until the deadline.
        is_read_only: the program reads one snapshot and locks nothing.
        reads_once: a read-only program usually reads in one step.
    """

    def __init__(
        self,
        database: Database,
        program: Callable[[], Program[T]],
        deadline: Deadline,
        lock_ms: int | None = None,
        *,
        is_read_only: bool = False,
        reads_once: bool = False,
    ) -> None:
        self._database = database
        self._program = program
        self._deadline = deadline
        self._patience = Patience(deadline, database.is_wanted)
        self._lock_ms = lock_ms
        self._is_read_only = is_read_only
        self._reads_once = reads_once
        self._mark = {} if is_read_only else database.new_mark()
        self._unconfirmed: Uncommitted[T] | None = None
        self._holders = ""
        self._obstacles = Obstacles(str(database.location))

    @property
    def is_in_doubt(self) -> bool:
        """Whether it may have been committed: the connection was lost during the COMMIT."""
        return self._unconfirmed is not None

    def run(self) -> T:
        """Return the program's result once it is committed.

        Raises:
            Blocked: others hold rows for longer than `lock_ms`, or were faster each time. Nothing
                was written.
            StoreUnavailable: the server refuses, or the deadline has passed. If the transaction
                `is_in_doubt`, the error says so.
            InvalidValue: the server refuses a value; nothing was written.
            CorruptRecord: a damaged row is in the way; nothing was written.
            Exception: whatever else the program raises; nothing was written.
        """
        conflicts = 0
        failure: Exception | None = None
        while not self._patience.is_over:
            try:
                return self._attempt()
            except (*CONFLICTS, errors.LockNotAvailable) as error:
                conflicts += 1
                if not self.is_in_doubt:
                    self._obstacles.check(error)
                if self._gives_way(error, conflicts):
                    raise Blocked(self._reason(error)) from error
                failure, pause, growth = error, CONFLICT_PAUSE_SECONDS, min(conflicts, 10)
            except psycopg.Error as error:
                if not is_outage(error):
                    raise refused_value(error) or self._unavailable(error) from error
                self._database.connections.close_idle()
                failure, pause, growth = error, OUTAGE_PAUSE_SECONDS, 1
            self._deadline.sleep(random.uniform(*pause) * growth)  # noqa: S311
        if self._unconfirmed is not None:
            return self._settle(self._unconfirmed, failure)
        raise self._unavailable(failure) from failure

    def _attempt(self) -> T:
        with self._database.connections.hold(self._patience, self._silence_seconds()) as connection:
            try:
                return self._attempt_on(connection)
            finally:
                self._holders = connection.holders

    def _attempt_on(self, connection: Connection) -> T:
        if self._unconfirmed is not None:
            return self._rerun_after_unknown_commit(connection, self._unconfirmed)
        if self._reads_once:
            return self._read_once(connection)
        uncommitted = self._carry_out(connection, self._opening(connection, self._deadline))
        if not uncommitted.writes:
            connection.send([COMMIT])
            return uncommitted.result
        mark = self._database.queries.of(Read("insert_commit", self._mark))
        return self._commit(connection, uncommitted, mark, COMMIT)

    def _read_once(self, connection: Connection) -> T:
        """Send the only step together with the COMMIT: one round trip."""
        opening = self._opening(connection, self._deadline)
        reading = RoundTrips(self._program(), self._database.queries, opening)
        if reading.pending:
            *rows, _ = connection.send([*reading.pending, COMMIT])
            reading.answer(rows)
        if not reading.pending:
            return reading.outcome.result
        self._reads_once = False  # it met damage, and has to look further, on one snapshot
        return self._attempt_on(connection)

    def _rerun_after_unknown_commit(self, connection: Connection, before: Uncommitted[T]) -> T:
        """Find out how the attempt ended whose COMMIT had no answer, and go on from there.

        The mark is inserted first: the insertion waits until that attempt has ended, and inserts
        nothing if it was committed. If it has not even come to its own mark, it will fail there,
        because this one is in its way.
        """
        mark = self._database.queries.of(Read("insert_commit_once", self._mark))
        *_, marked = connection.send([*self._opening(connection, self._deadline), mark])
        if not marked:
            connection.rollback()
            return before.result
        return self._commit(connection, self._carry_out(connection, ()), COMMIT)

    def _settle(self, before: Uncommitted[T], failure: Exception | None) -> T:
        """Decide how the attempt ended whose COMMIT had no answer; there is no time for another.

        Its mark is committed here without its writes. So if it was not committed, it never will be.
        """
        mark = self._database.queries.of(Read("insert_commit_once", self._mark))
        deadline = Deadline.after(ANSWER_SECONDS)
        try:
            with self._database.connections.hold(Patience(deadline)) as connection:
                *_, marked = connection.send([*self._opening(connection, deadline), mark])
                connection.send([COMMIT])
        except psycopg.Error as error:
            raise self._unavailable(failure or error) from error
        if not marked:
            return before.result
        self._unconfirmed = None
        raise self._unavailable(failure) from failure

    def _carry_out(self, connection: Connection, opening: Sequence[Query]) -> Uncommitted[T]:
        round_trips = RoundTrips(self._program(), self._database.queries, opening)
        while round_trips.pending:
            round_trips.answer(connection.send(round_trips.pending))
        return round_trips.outcome

    def _commit(self, connection: Connection, uncommitted: Uncommitted[T], *ending: Query) -> T:
        try:
            connection.send([*uncommitted.unsent, *ending])
        except psycopg.Error as error:
            # Any other error is the server's answer, and says that it has rolled back.
            if is_in_doubt(error):
                self._unconfirmed = uncommitted
                self._database.keep_mark()
            raise
        return uncommitted.result

    def _opening(self, connection: Connection, deadline: Deadline) -> list[Query]:
        left_ms = int(deadline.seconds_left() * 1000)
        lock_ms = left_ms if self._lock_ms is None else min(self._lock_ms, left_ms)
        values = {"lock_timeout": str(max(lock_ms, 1))}  # 0 would mean no limit
        begin, settings, timed = BEGIN_READING, READING_SETTINGS, TIMED_READING_SETTINGS
        if not self._is_read_only:
            begin, settings, timed = BEGIN, SETTINGS, TIMED_SETTINGS
            values["synchronous_commit"] = self._database.synchronous_commit
        if connection.info.server_version >= KNOWS_TRANSACTION_TIMEOUT:
            settings = timed
            # Between the end of the wait for a lock and the end of ours, so that all is decided.
            values["timeout"] = str(left_ms + int(ANSWER_SECONDS * 500))
        return [begin, Query(settings, values)]

    def _gives_way(self, error: Exception, conflicts: int) -> bool:
        """Return True if a transaction that is not to wait for others has met some."""
        if self._lock_ms is None or self.is_in_doubt:
            return False
        return isinstance(error, errors.LockNotAvailable) or conflicts > MOST_CONFLICTS

    def _silence_seconds(self) -> float | None:
        """After how many seconds of silence to ask the server what it is doing; None: as usual.

        Shortly before the deadline it is asked early, to learn who holds the rows.
        """
        left = self._deadline.seconds_left()
        if self._lock_ms is None or left > HOLDER_SECONDS:
            return None
        return min(self._lock_ms / 1000, left) / 2

    def _unavailable(self, failure: Exception | None) -> StoreUnavailable:
        reason = self._reason(failure)
        if self.is_in_doubt:
            reason += "; whether the write was committed is not known"
        return StoreUnavailable(str(self._database.location), reason)

    def _reason(self, failure: Exception | None) -> str:
        match failure:
            case None if not self._database.is_wanted():
                return "the store was closed"
            case None:
                return "the calls before this one took too long"
            case errors.LockNotAvailable():
                held = "a table" if self._is_read_only else "rows"
                reason = f"another transaction holds {held} that this one needs"
                return f"{reason}: {self._holders}" if self._holders else reason
            case psycopg.Error() if not isinstance(failure, CONFLICTS):
                return unavailable(failure, self._database.location).reason
            case _:
                return "other transactions were faster each time"


class Commits:
    """Commits batches in groups; a batch that has to wait for others is handed to `submit`.

    Any number of threads may use it.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], int | None],
        submit: Submit,
        give_hints: GiveHints,
    ) -> None:
        self._database = database
        self._clock = clock
        self._submit = submit
        self._give_hints = give_hints

    def carry_out(self, calls: list[Call[Commands]]) -> list[Any]:
        """Commit all batches in one transaction; or each alone if others hold rows that it needs.

        Returns:
            For each call its receipt, a `Failure`, or a future of one of the two.
        """
        batches = [call.request for call in calls]
        hints: set[Hint] = set()
        transaction = Transaction(
            self._database,
            lambda: self._program(batches, hints),
            calls[0].deadline,  # the earliest: the group has one end
            GROUP_LOCK_MS,
        )
        try:
            outcomes: list[Any] = transaction.run()
        except Blocked as blocked:
            if len(calls) > 1:
                return [self._commit_alone(call, blocked) for call in calls]
            return [self._submit(self._commit, call, blocked) for call in calls]
        except Exception as error:  # it is raised to the callers: the thread must go on
            self._give_hints(hints)  # it may have been committed
            return outcomes_of_failed_group(transaction, error, calls, self._submit, self._commit)
        self._give_hints(hints)
        for position, outcome in enumerate(outcomes):
            if isinstance(outcome, Exception):
                outcomes[position] = Failure(outcome)
        return outcomes

    def _program(self, batches: Sequence[Commands], hints: set[Hint]) -> Program[list[Outcome]]:
        database = self._database
        return commit(batches, self._clock(), database.damage, database.versions, hints)

    def _commit_alone(self, call: Call[Commands], group_blocked: Blocked) -> Any:
        """Commit a batch of a group that was blocked, unless it is the one that has to wait."""
        try:
            return self._commit(call, SINGLE_LOCK_MS)
        except Blocked as blocked:
            return self._submit(self._commit, call, blocked)
        except StoreUnavailable as error:
            return Failure(group_blocked.before(error))
        except Exception as error:  # it is raised to the caller: the thread must go on
            return Failure(error)

    def _commit(self, call: Call[Commands], lock_ms: int) -> Receipt:
        hints: set[Hint] = set()
        transaction = Transaction(
            self._database,
            lambda: self._program((call.request,), hints),
            call.deadline,
            lock_ms,
        )
        try:
            [outcome] = transaction.run()
        except Exception:
            if transaction.is_in_doubt:
                self._give_hints(hints)  # it may have been committed
            raise
        self._give_hints(hints)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def outcomes_of_failed_group(
    transaction: Transaction[Any],
    error: Exception,
    calls: Sequence[Call[Any]],
    submit: Submit,
    carry_out_alone: Callable[[Call[Any], int], Any],
) -> list[Any]:
    """The outcomes of calls whose common transaction has failed.

    Each is tried by itself if it has time left. So a call fails neither because one that came
    before it had less time, nor because of what the server refuses of another one.
    """
    if transaction.is_in_doubt or len(calls) == 1:
        return [Failure(error)] * len(calls)
    return [
        Failure(error) if call.deadline.has_passed else submit(carry_out_alone, call)
        for call in calls
    ]
