"""The PostgreSQL backend: threads that write in groups, and others that read beside them."""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar, cast

import msgspec

from treadle.backends._closing import close_all
from treadle.backends._deadline import CALL_SECONDS, Deadline, Patience
from treadle.backends._group_thread import GroupThread
from treadle.backends._hints import CoarseHints, Hints
from treadle.backends._waiting import Waiting
from treadle.backends._watch import Watch
from treadle.backends.base import Capabilities, Durability, Listener, LiveListener
from treadle.backends.cancellation import opened
from treadle.backends.postgres._caller_transaction import CallerTransaction
from treadle.backends.postgres._claims import Claims
from treadle.backends.postgres._limits import (
    LOOK_PAUSES,
    LOOK_SECONDS,
    READING_THREADS,
    SILENCE_SECONDS,
    SMALL_READ,
)
from treadle.backends.postgres._live import LiveNotices
from treadle.backends.postgres._notices import Notices
from treadle.backends.postgres._overlapping import OverlappingGroups
from treadle.backends.postgres._reads import Reads
from treadle.backends.postgres._touched import Touched, touched_by
from treadle.backends.postgres._transactions import Blocked, Call, Commits, Database, Transaction
from treadle.backends.postgres._vacuum import vacuum
from treadle.backends.postgres._waiters import Waiters
from treadle.backends.postgres.connection import Connection
from treadle.backends.postgres.location import Location
from treadle.backends.postgres.schema import migrate
from treadle.backends.sql import claims
from treadle.backends.sql.program import Program, Read
from treadle.backends.sql.reads import most_documents, read, reads_once
from treadle.clock import Clock
from treadle.core.claims import ClaimRequest
from treadle.core.commands import Commands, Receipt
from treadle.core.hints import Hint
from treadle.core.id_ranges import IdRanges, Ids
from treadle.core.mailboxes import MailboxEntry
from treadle.core.queries import Query
from treadle.errors import StoreUnavailable

T = TypeVar("T")
ArgumentT = TypeVar("ArgumentT")


class PostgresBackend:
    """A schema of a database, shared by any number of processes.

    It may be used from any thread and any event loop of the process that opened it, and from no
    other: a process that was forked opens a store of its own.

    Args:
        location: the database and the schema.
        clock: used instead of the database's clock.
        durability: with "relaxed", what was acknowledged last may be lost when the server crashes.
        migrate: bring the schema up to date when the store is opened.
        read_only: write nothing, and do not listen, which a standby refuses; nobody may call
            `commit` or `claim`.
        connection_class: the class of all connections except those that ask about others; for
            tests.
        call_seconds: the deadline of a commit, a claim or a read; shorter in tests.
        silence_seconds: how long the server may be silent before it is asked; shorter in tests.
    """

    capabilities = Capabilities(durable=True, shared=True, notifies=True)

    def __init__(
        self,
        location: Location,
        clock: Clock | None = None,
        durability: Durability = "full",
        *,
        migrate: bool = False,
        read_only: bool = False,
        connection_class: type[Connection] = Connection,
        call_seconds: float = CALL_SECONDS,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        if read_only:
            location = msgspec.structs.replace(location, listen="off")
        self._location = location
        self._read_only = read_only
        self._clock = clock
        self._migrate = migrate
        self._call_seconds = call_seconds
        self._connection_class = connection_class
        self._database = Database(location, durability, connection_class, silence_seconds)
        self._commits: OverlappingGroups[Call[Commands]] = OverlappingGroups(
            "treadle-postgres-commits",
            Commits(self._database, self._now, self._submit, self._give_hints).carry_out,
            self._end,
            self._committed,
            weigh=_count_commands,
            touched_by=_touched_by,
        )
        self._claims: GroupThread[Call[ClaimRequest]] = GroupThread(
            "treadle-postgres-claims",
            Claims(self._database, self._now, self._submit, self._give_hints).carry_out,
            weigh=_count_wanted,
        )
        self._reads: GroupThread[Call[Query[Any]]] = GroupThread(
            "treadle-postgres-reads",
            Reads(self._database, self._now, self._submit).carry_out,
            weigh=_count_documents,
        )
        self._caller_transaction = CallerTransaction(self._database)
        self._watch = Watch(self._position, LOOK_PAUSES)
        self._waiting = Waiting(self._watch, self._times_left)
        # Without notices, hints can only say now and then that something may have changed.
        self._hints = (
            CoarseHints(Watch(self._moment, LOOK_PAUSES))
            if location.listen == "off"
            else Hints(self._listen)
        )
        self._changes = 0
        self._phase = random.random()  # noqa: S311

    async def open(self) -> None:
        """Connect, and check the schema."""
        await opened(self._open, self._end, self._call_seconds)
        self._commits.start()
        try:
            self._claims.start()
            self._reads.start()
        except RuntimeError:
            self.release()
            raise

    def _open(self, patience: Patience) -> None:
        if self._migrate:
            migrate(self._location, is_wanted=patience.is_wanted)
        self._database.open(patience, read_only=self._read_only)
        self._waiters = Waiters(self._location)
        self._readers = ThreadPoolExecutor(READING_THREADS, "treadle-postgres-reader")
        try:
            self._notices = Notices(
                self._location, self._call_seconds, self._hear, self._connection_class
            )
            self._live = LiveNotices(self._location, self._call_seconds, self._connection_class)
        except OSError as error:  # the process has no more descriptors
            self._database.close()
            raise StoreUnavailable(str(self._location), str(error)) from error

    async def close(self) -> None:
        """Finish what is under way, and close all connections."""
        self._database.begin_to_close()
        self._claims.stop()
        self._reads.stop()
        self._hints.close()
        self._live.end_followers()
        await self._commits.close()
        self._watch.wake()

    @property
    def where(self) -> str:
        """The database and the schema."""
        return str(self._location)

    def release(self) -> None:
        """Let the threads end by themselves."""
        self._claims.stop()
        self._reads.stop()
        self._commits.stop()

    def _end(self) -> None:
        close_all(
            self._claims.join,
            self._reads.join,
            self._waiters.close,
            self._readers.shutdown,
            self._notices.close,
            self._live.close,
            self._database.close,
        )

    async def commit(self, batch: Commands) -> Receipt:
        """Apply all commands of a checked batch, or none."""
        return cast(
            "Receipt", await self._commits.ask(Call(batch, Deadline.after(self._call_seconds)))
        )

    async def commit_in(self, connection: object, batch: Commands) -> Receipt:
        """Apply a batch in a transaction of the caller's, which the caller commits."""
        self._commits.require_running()
        return await self._caller_transaction.commit(connection, batch, self._now())

    async def claim(self, request: ClaimRequest) -> tuple[MailboxEntry, ...]:
        """Take due entries, best first.

        A mailbox that another transaction holds for long is skipped: one of a commit in a
        transaction of the caller's, say.
        """
        call = Call(request, Deadline.after(self._call_seconds))
        return cast("tuple[MailboxEntry, ...]", await self._claims.ask(call))

    async def read(self, query: Query[T]) -> T:
        """Answer a checked query from one snapshot."""
        if 0 < most_documents(query) <= SMALL_READ:
            call = Call(cast("Query[Any]", query), Deadline.after(self._call_seconds))
            return cast("T", await self._reads.ask(call))
        now = self._now()
        program = partial(read, query, self._database.damage, now)
        return await self._read(program, reads_once=reads_once(query))

    async def remove_traces(self) -> Collection[str]:
        """Vacuum the tables, whose pages have what was deleted."""
        self._commits.require_running()
        await asyncio.to_thread(vacuum, self._location)
        return ()

    async def wait(
        self, timeout_ms: int, mailbox_id: str | None = None, among: IdRanges | None = None
    ) -> None:
        """Return once something is claimable, or after `timeout_ms`."""
        self._commits.require_running()
        self._notices.listen()
        await self._waiting.until_due(timeout_ms, among or mailbox_id)

    def listen(self, wanted: frozenset[Hint] | None = None) -> Listener:
        """Begin to listen for changes."""
        self._commits.require_running()
        return self._hints.listen(wanted)

    def publish(self, thread_id: str, value: bytes) -> None:
        """Give a live value to those who follow its thread, here and in other processes."""
        self._commits.require_running()
        self._live.publish((thread_id, msgspec.Raw(value)))

    async def follow_live(self, thread_id: str) -> LiveListener:
        """Begin to follow the live values of a thread."""
        self._commits.require_running()
        return await self._live.follow(thread_id)

    async def _times_left(self, mailboxes: Sequence[Ids]) -> list[int | None]:
        now = self._now()
        return await self._read(lambda: _times_left(mailboxes, now))

    async def _read(self, program: Callable[[], Program[T]], *, reads_once: bool = False) -> T:
        self._commits.require_running()
        reading = Transaction(
            self._database,
            program,
            Deadline.after(self._call_seconds),
            is_read_only=True,
            reads_once=reads_once,
        )
        try:
            answer = asyncio.get_running_loop().run_in_executor(self._readers, reading.run)
        except RuntimeError as error:  # the process may have no more threads
            raise StoreUnavailable(self.where, str(error)) from error
        return await answer

    def _committed(self, calls: list[Call[Commands]]) -> None:
        """Wake the callers of this process that wait; the callers of `calls` know."""
        self._changes += 1
        self._watch.wake()

    def _listen(self) -> None:
        self._notices.listen()

    def _give_hints(self, hints: Collection[Hint]) -> None:
        """Say what has changed, here and in other processes."""
        self._hints.give(hints)
        self._notices.give(hints)

    def _hear(self, hints: Collection[Hint]) -> None:
        """Say what other processes have changed."""
        self._hints.give(hints)
        self._watch.wake()

    def _position(self) -> object:
        """A value that changes with every commit of this process, every notice and every second."""
        if not self._commits.is_running:
            return None
        return self._changes, self._notices.heard, self._moment()

    def _moment(self) -> int:
        return int(time.monotonic() / LOOK_SECONDS + self._phase)

    def _submit(
        self,
        attempt: Callable[[Call[Any], int], T],
        call: Call[Any],
        blocked: Blocked | None = None,
    ) -> "Future[T]":
        """Carry out a call that waits for other transactions on a thread of the waiters."""
        return self._waiters.submit(attempt, call, blocked)

    def _now(self) -> int | None:
        return None if self._clock is None else self._clock()


# Claims and commits have a thread each. If large ones were all carried out together, those who
# claim and then commit would do so in step, and one of the two threads would always wait.


def _count_commands(call: Call[Commands]) -> int:
    return len(call.request)


def _touched_by(call: Call[Commands]) -> Touched:
    return touched_by(call.request)


def _count_wanted(call: Call[ClaimRequest]) -> int:
    return call.request.limit


def _count_documents(call: Call[Query[Any]]) -> int:
    return most_documents(call.request)


def _times_left(mailboxes: Sequence[Ids], now: int | None) -> Program[list[int | None]]:
    """How many milliseconds until something may be claimable; None if nothing waits."""
    times = yield from claims.next_due(mailboxes)
    if all(due is None for due in times):
        return times
    if now is None:
        (((present,),),) = yield (Read("clock", {}),)
        now = int(present)
    return [None if due is None else due - now for due in times]
