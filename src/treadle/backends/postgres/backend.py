"""The PostgreSQL backend: two threads that write in groups, and readers beside them."""

import asyncio
import os
import random
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar, cast

import psycopg

from treadle.backends.base import Capabilities, Durability
from treadle.backends.cancellation import opened
from treadle.backends.group_thread import GroupThread
from treadle.backends.postgres.claims import Claims
from treadle.backends.postgres.commits import Commits
from treadle.backends.postgres.connection import Connection
from treadle.backends.postgres.database import Database
from treadle.backends.postgres.joined import Joined
from treadle.backends.postgres.location import Location
from treadle.backends.postgres.notices import Notices
from treadle.backends.postgres.readers import Readers
from treadle.backends.postgres.schema import migrate
from treadle.backends.sql import claims
from treadle.backends.sql.program import Program, Read
from treadle.backends.sql.reads import Reads
from treadle.backends.waiting import Waiting
from treadle.core.clock import Clock
from treadle.core.commands import Commands, Receipt
from treadle.core.mailboxes import ClaimRequest, MailboxEntry
from treadle.errors import StoreClosed

T = TypeVar("T")
CallT = TypeVar("CallT")

_THREADS_ALONE = 4
"""How many calls may wait at a time for rows that other transactions keep."""
_LOOK_SECONDS = 1.0
"""How often a waiting caller looks by itself; notices come faster, and may be lost."""


class PostgresBackend(Reads):
    """A schema of a database, shared by any number of processes.

    It may be used from any thread and any event loop of the process that opened it, and from no
    other: a process that was forked opens a store of its own.

    Args:
        location: where it is.
        clock: takes the place of the database's clock.
        durability: "relaxed": what was acknowledged last may be lost when the server crashes.
        migrates: bring the schema up to date at the opening.
        connection_class: what is made to connect; for tests.
    """

    capabilities = Capabilities(durable=True, shared=True, notifies=True)

    def __init__(
        self,
        location: Location,
        clock: Clock | None = None,
        durability: Durability = "full",
        *,
        migrates: bool = False,
        connection_class: type[Connection] = psycopg.Connection,
    ) -> None:
        self._location = location
        self._clock = clock
        self._migrates = migrates
        self._database = Database(location, durability, connection_class)
        self._commits: GroupThread[Commands] = GroupThread(
            "treadle-postgres-commits",
            Commits(self._database, self._now, self._submit).carry_out,
            told=self._committed,
        )
        self._claims: GroupThread[ClaimRequest] = GroupThread(
            "treadle-postgres-claims", Claims(self._database, self._now, self._submit).carry_out
        )
        self._joined = Joined(location, self._database.queries)
        self._waiting = Waiting(self._position)
        self._closing: asyncio.Future[None] | None = None
        self._changes = 0
        self._phase = random.random()  # noqa: S311
        self._process = os.getpid()

    async def open(self) -> None:
        """Connect, and see that the schema is as it should be."""
        self._closing = None
        await opened(self._open, self._end)
        self._commits.start()
        self._claims.start()

    def _open(self) -> None:
        if self._migrates:
            migrate(self._location)
        self._database.open()
        self._alone = ThreadPoolExecutor(
            _THREADS_ALONE, thread_name_prefix="treadle-postgres-alone"
        )
        self._readers = Readers(self._database)
        self._notices = Notices(self._location)

    async def close(self) -> None:
        """Finish what is under way, and let go of all connections, which are not a fork's."""
        if os.getpid() != self._process:
            return
        if self._closing is None and self._commits.is_running:
            self._closing = asyncio.ensure_future(self._close())
        if self._closing is not None:
            await asyncio.shield(self._closing)

    async def _close(self) -> None:
        try:
            await self._claims.close()
            await self._commits.close()
        finally:
            await asyncio.to_thread(self._end)
            self._waiting.wake()

    def _end(self) -> None:
        self._alone.shutdown()
        self._readers.close()
        self._notices.close()
        self._database.close()

    async def commit(self, batch: Commands) -> Receipt:
        """Apply all commands of a checked batch, or none."""
        self._require_own_process()
        return cast("Receipt", await self._commits.ask(batch))

    async def commit_in(self, connection: object, batch: Commands) -> Receipt:
        """Apply a batch in a transaction of the caller's, which the caller commits."""
        self._require_own_process()
        self._commits.require_running()
        return await self._joined.commit(connection, batch, self._now())

    async def claim(self, request: ClaimRequest) -> tuple[MailboxEntry, ...]:
        """Take due entries, best first.

        A mailbox that a transaction keeps for long is passed over: one of a commit in a transaction
        of the caller's, say.
        """
        self._require_own_process()
        return cast("tuple[MailboxEntry, ...]", await self._claims.ask(request))

    async def wait(self, timeout_ms: int, mailbox_id: str | None = None) -> None:
        """Return once something is claimable, or after `timeout_ms`."""
        self._require_own_process()
        self._commits.require_running()
        self._notices.listen()
        await self._waiting.until_due(timeout_ms, lambda: self._time_left(mailbox_id))

    async def _time_left(self, mailbox_id: str | None) -> int | None:
        now = self._now()
        return await self._read(lambda: _time_left(mailbox_id, now))

    async def _read(self, program: Callable[[], Program[T]]) -> T:
        self._require_own_process()
        self._commits.require_running()
        return await self._readers.read(program)

    def _committed(self, batches: list[Commands]) -> None:
        """Those who asked know: wake those who wait, here and elsewhere."""
        self._changes += 1
        self._waiting.wake()
        self._notices.tell()

    def _position(self) -> object:
        """Changes with what is written here and told by others, and now and then by itself."""
        if not self._commits.is_running:
            return None
        moment = int(time.monotonic() / _LOOK_SECONDS + self._phase)
        return self._changes, self._notices.heard, moment

    def _submit(self, call: Callable[[CallT], T], argument: CallT) -> "Future[T]":
        """Have a call that waits for others made on a thread of its own."""
        return self._alone.submit(call, argument)

    def _now(self) -> int | None:
        return None if self._clock is None else self._clock()

    def _require_own_process(self) -> None:
        if os.getpid() != self._process:
            raise StoreClosed("this process was forked from the one that opened it; open one here")


def _time_left(mailbox_id: str | None, now: int | None) -> Program[int | None]:
    """How many milliseconds until something may be claimable; None if nothing waits."""
    due = yield from claims.next_due(mailbox_id)
    if due is None:
        return None
    if now is not None:
        return due - now
    (((present,),),) = yield (Read("clock", {}),)
    return due - int(present)
