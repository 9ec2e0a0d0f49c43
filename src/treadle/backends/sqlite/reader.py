"""Reading a database file without writing anything to it or beside it."""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from threading import Event
from typing import TypeVar

from treadle.backends._damage import DamageLog
from treadle.backends._deadline import CALL_SECONDS, Patience
from treadle.backends._hints import CoarseHints
from treadle.backends._live_file import LiveFile
from treadle.backends._modes import file_mode_like
from treadle.backends._waiting import Waiting
from treadle.backends._watch import Watch
from treadle.backends.base import NO_STORE, Capabilities, Listener, LiveListener
from treadle.backends.sql.claims import next_due
from treadle.backends.sql.program import Program
from treadle.backends.sql.reads import read
from treadle.backends.sqlite._connection import closing, connect_read_only, transaction
from treadle.backends.sqlite._errors import translate_errors
from treadle.backends.sqlite._execution import run
from treadle.backends.sqlite._side_files import beside
from treadle.backends.sqlite.schema import check_current
from treadle.clock import Clock, system_clock
from treadle.core.hints import Hint
from treadle.core.id_ranges import IdRanges, Ids
from treadle.core.queries import Query
from treadle.errors import StoreClosed, StoreUnavailable

T = TypeVar("T")
_State = tuple[tuple[int, int, int] | None, ...]


class SqliteReader:
    """A database file that is only read, each time by a connection of its own.

    Args:
        path: the file, which must exist.
        clock: the time in unix milliseconds.
        call_seconds: how long a call waits for other programs; shorter in tests.
    """

    capabilities = Capabilities(durable=True, shared=True, notifies=True)

    def __init__(
        self,
        path: str | os.PathLike[str],
        clock: Clock = system_clock,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self._path = os.path.abspath(path)
        self._clock = clock
        self._call_seconds = call_seconds
        self._is_open = False
        self._damage = DamageLog(self._path)
        self._watch = Watch(self._position)
        self._waiting = Waiting(self._watch, self._times_left)
        self._hints = CoarseHints(self._watch)
        self._live = LiveFile(
            self._path + "-live", lambda: file_mode_like(self._path), read_only=True
        )

    async def open(self) -> None:
        """Check that the file is a store, and that its schema is up to date."""
        self._is_open = True
        try:
            await self._call(lambda connection: check_current(connection, self._path))
        except BaseException:
            self._is_open = False
            raise

    async def close(self) -> None:
        """End all waits."""
        self._is_open = False
        self._hints.close()
        self._watch.wake()
        await asyncio.to_thread(self._live.close)

    async def read(self, query: Query[T]) -> T:
        """Answer a checked query from one snapshot."""
        now = self._clock()
        return await self._run(lambda: read(query, self._damage, now))

    async def wait(
        self, timeout_ms: int, mailbox_id: str | None = None, among: IdRanges | None = None
    ) -> None:
        """Return once something is claimable, or after `timeout_ms`."""
        await self._waiting.until_due(timeout_ms, among or mailbox_id)

    def listen(self, wanted: frozenset[Hint] | None = None) -> Listener:
        """Begin to listen for changes."""
        if not self._is_open:
            raise StoreClosed
        return self._hints.listen(wanted)

    async def follow_live(self, thread_id: str) -> LiveListener:
        """Begin to follow the live values of a thread."""
        if not self._is_open:
            raise StoreClosed
        return self._live.follow(thread_id)

    async def _times_left(self, mailboxes: Sequence[Ids]) -> list[int | None]:
        times = await self._run(lambda: next_due(mailboxes))
        now = self._clock()
        return [None if due is None else due - now for due in times]

    def _position(self) -> object:
        return _state_of(self._path) if self._is_open else None

    async def _run(self, program: Callable[[], Program[T]]) -> T:
        return await self._call(lambda connection: run(connection, program()))

    async def _call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if not self._is_open:
            raise StoreClosed
        is_cancelled = Event()
        patience = Patience.of(self._call_seconds, lambda: not is_cancelled.is_set())
        try:
            return await asyncio.to_thread(self._read, work, patience)
        except asyncio.CancelledError:
            is_cancelled.set()
            raise

    def _read(self, work: Callable[[sqlite3.Connection], T], patience: Patience) -> T:
        """Read in one snapshot.

        Without a log, SQLite takes no locks, and would not notice a program that writes meanwhile.
        So the result counts only if the file has not changed; otherwise it is read again.
        """
        with translate_errors(self._path):
            while True:
                database, log = before = _state_of(self._path)
                if database is None:
                    raise StoreUnavailable(self._path, NO_STORE)
                try:
                    with (
                        closing(connect_read_only(self._path, is_logged=log is not None)) as found,
                        transaction(found, "DEFERRED", patience),
                    ):
                        result = work(found)
                except sqlite3.Error as error:
                    if log is not None and error.sqlite_errorcode == sqlite3.SQLITE_CANTOPEN:
                        raise _unreadable_log(self._path) from error
                    if log is not None or _state_of(self._path) == before or patience.is_over:
                        raise
                    continue
                if log is not None or _state_of(self._path) == before:
                    return result
                if patience.is_over:
                    raise StoreUnavailable(self._path, "it changed each time that it was read")


def _unreadable_log(path: str) -> StoreUnavailable:
    name = os.path.basename(path)
    reason = (
        "its log was left by a program that died, and cannot be read where nothing can be written"
    )
    return StoreUnavailable(
        path, f"{reason}; copy {name}, with {name}-wal, to a folder that can be written"
    )


def _state_of(path: str) -> _State:
    """What tells a version of the file, and of its log, from others; None for an empty one."""
    return tuple(map(_version_of, (path, beside(path, "-wal"))))


def _version_of(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return (status.st_ino, status.st_mtime_ns, status.st_size) if status.st_size else None
