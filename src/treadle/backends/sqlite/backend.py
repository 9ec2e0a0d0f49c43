"""The SQLite backend: one thread that writes in groups, and readers beside it."""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from itertools import groupby
from typing import Any, TypeVar, cast

from treadle.backends._closing import close_all
from treadle.backends._damage import DamageLog
from treadle.backends._deadline import CALL_SECONDS, CLOSE_SECONDS, Patience
from treadle.backends._forks import give_up_in_children
from treadle.backends._group_thread import Failure, GroupThread
from treadle.backends._hint_ring import HintRing, RingHints
from treadle.backends._hints import hints_of_claims
from treadle.backends._identity import identity, lost
from treadle.backends._live_file import LiveFile
from treadle.backends._local_backend import LocalBackend
from treadle.backends._modes import (
    PRIVATE_FILE,
    advising_to_read,
    file_mode_like,
    make_folder,
)
from treadle.backends._sleepers import Sleepers
from treadle.backends._waiting import Waiting
from treadle.backends._watch import Watch
from treadle.backends.base import NO_STORE, Capabilities, Durability
from treadle.backends.cancellation import opened
from treadle.backends.model.tables import VersionSource
from treadle.backends.sql.claims import next_due
from treadle.backends.sql.commit import commit
from treadle.backends.sql.program import Program
from treadle.backends.sql.reads import read
from treadle.backends.sqlite._claims import claim
from treadle.backends.sqlite._connection import (
    WRITER_CACHE_KIB,
    MakeConnection,
    close,
    closing,
    connect,
    empty_log,
    give_up,
    keep,
    transaction,
)
from treadle.backends.sqlite._errors import translate_errors
from treadle.backends.sqlite._execution import run
from treadle.backends.sqlite._fair_lock import FairFileLock
from treadle.backends.sqlite._open_files import OpenFiles
from treadle.backends.sqlite._readers import Readers
from treadle.backends.sqlite._uses import using_sqlite
from treadle.backends.sqlite.schema import prepare
from treadle.clock import Clock, system_clock
from treadle.core.claims import ClaimRequest
from treadle.core.commands import Commands, Receipt
from treadle.core.hints import Hint
from treadle.core.id_ranges import Ids
from treadle.core.mailboxes import MailboxEntry
from treadle.core.queries import Query
from treadle.errors import StoreUnavailable

T = TypeVar("T")
_Call = Commands | ClaimRequest


def is_store(path: str | os.PathLike[str]) -> bool:
    """Return True if the file exists and is not empty; opening an empty one makes it a store."""
    try:
        return os.stat(path).st_size > 0
    except (FileNotFoundError, NotADirectoryError):
        return False


class SqliteBackend(LocalBackend):
    """One database file, in write-ahead mode.

    Args:
        path: the file.
        clock: the time in unix milliseconds.
        durability: what an acknowledged write survives.
        make_writer: makes the connection that writes; for tests.
        create: create the store if it does not exist.
        call_seconds: how long a call, or opening, waits for others; shorter in tests.
    """

    capabilities = Capabilities(durable=True, shared=True, notifies=True)

    def __init__(
        self,
        path: str | os.PathLike[str],
        clock: Clock = system_clock,
        durability: Durability = "full",
        make_writer: MakeConnection = sqlite3.Connection,
        *,
        create: bool = True,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self._create = create
        self._call_seconds = call_seconds
        self._path = os.path.abspath(path)
        self._clock = clock
        self._durability: Durability = durability
        self._make_writer = make_writer
        self._damage = DamageLog(self._path)
        self._versions = VersionSource()
        self._thread: GroupThread[_Call] = GroupThread(
            "treadle-sqlite", self._carry_out, self._end, self._on_done, call_seconds
        )
        self._watch = Watch(self._position, costly=self._look_at_files, sleepers=self._sleepers)
        self._waiting = Waiting(self._watch, self._times_left)
        self._hints = RingHints(self._watch, self._ring, self._data_version)
        self._live = LiveFile(self._path + "-live", lambda: file_mode_like(self._path))

    async def open(self) -> None:
        """Open the file, create it if it does not exist, and bring its schema up to date."""
        await opened(self._open, self._end, self._call_seconds)
        self._thread.start()

    def _open(self, patience: Patience) -> None:
        with translate_errors(self._path), ExitStack() as undo:
            if not self._create and not is_store(self._path):
                raise StoreUnavailable(self._path, NO_STORE)
            with advising_to_read(self._path):
                make_folder(os.path.dirname(self._path))
                self._lock = FairFileLock(self._path)
            undo.callback(self._lock.close)
            with self._lock.hold(patience):
                _create(self._path)
                self._writer = connect(
                    self._path,
                    self._durability,
                    patience,
                    self._make_writer,
                    cache_kib=WRITER_CACHE_KIB,
                )
                undo.callback(close, self._writer)
                database = identity(self._path)
                with using_sqlite():
                    prepare(self._writer, self._path, self._clock, patience)
            self._watcher = connect(self._path, self._durability, patience)
            undo.callback(close, self._watcher)
            self._files = OpenFiles(self._path)
            if self._files.database != database:
                raise lost(self._path)
            undo.pop_all()
        self._readers = Readers(self._path, self._durability, self._files)
        give_up_in_children(self)

    @property
    def where(self) -> str:
        """The file."""
        return self._path

    def give_up(self) -> None:
        """Close the connections in a forked child."""
        for connection in (self._writer, self._watcher):
            give_up(connection)

    def _end(self) -> None:
        with translate_errors(self._path):
            close_all(
                self._readers.close,
                partial(close, self._watcher),
                self._close_writer,
                self._lock.close,
                self._live.close,
            )

    def _close_writer(self) -> None:
        if not self._files.are_in_place():
            # Closing the last connection removes the files beside the new database, by their names.
            keep(self._writer)
            raise lost(self._path)
        with ExitStack() as ending:
            ending.callback(close, self._writer)
            # SQLite tidies up the file. If others keep the lock, the last of them does.
            with suppress(StoreUnavailable):
                ending.enter_context(self._lock.hold(Patience.of(CLOSE_SECONDS)))
            close(self._writer)

    async def commit(self, batch: Commands) -> Receipt:
        """Apply all commands of a checked batch, or none of them."""
        return cast("Receipt", await self._thread.ask(batch))

    async def claim(self, request: ClaimRequest) -> tuple[MailboxEntry, ...]:
        """Take due entries, best first."""
        return cast("tuple[MailboxEntry, ...]", await self._thread.ask(request))

    async def read(self, query: Query[T]) -> T:
        """Answer a checked query from one snapshot."""
        now = self._clock()
        return await self._read(lambda: read(query, self._damage, now))

    async def remove_traces(self) -> Collection[str]:
        """Empty the log, which has what was deleted, and remove all live values.

        In the database itself, deletions overwrite what they delete.
        """
        self._thread.require_running()
        await asyncio.to_thread(self._empty_log)
        await asyncio.to_thread(self._live.clear)
        return ()

    def _empty_log(self) -> None:
        patience = Patience.of(self._call_seconds)
        with (
            translate_errors(self._path, self._files),
            using_sqlite(),
            closing(connect(self._path, self._durability, patience)) as connection,
        ):
            is_empty = empty_log(connection, patience)
            self._files.require_in_place()
        if not is_empty:
            raise StoreUnavailable(self._path, "others kept its log in use; try it again")

    async def _times_left(self, mailboxes: Sequence[Ids]) -> list[int | None]:
        times = await self._read(lambda: next_due(mailboxes))
        now = self._clock()
        return [None if due is None else due - now for due in times]

    async def _read(self, program: Callable[[], Program[T]]) -> T:
        self._thread.require_running()
        return await self._readers.read(program(), self._call_seconds)

    def _carry_out(self, calls: list[_Call]) -> list[Any]:
        """Carry out batches and claims in one transaction.

        If one of them meets a damaged row, or has a value that SQLite refuses, nothing is
        committed, and each is tried by itself.

        Raises:
            StoreUnavailable: others kept the file; nothing was done.
        """
        has_begun = False
        hints: set[Hint] = set()
        patience = self._thread.patience
        try:
            with translate_errors(self._path, self._files), self._lock.hold(patience):
                with transaction(self._writer, "IMMEDIATE", patience):
                    has_begun = True
                    self._files.require_in_place()
                    program = _carry_out(calls, self._clock(), self._damage, self._versions, hints)
                    outcomes = run(self._writer, program)
                if hints:
                    self._lock.give_hints(hints)
                return outcomes
        except StoreUnavailable as error:
            if not has_begun:
                raise
            return [Failure(error)] * len(calls)
        except Exception as error:  # it is raised to the callers: the thread must go on
            if len(calls) == 1:
                return [Failure(error)]
            return [self._carry_out_alone(call) for call in calls]

    def _carry_out_alone(self, call: _Call) -> Any:
        try:
            return self._carry_out([call])[0]
        except StoreUnavailable as error:
            return Failure(error)

    def _on_done(self, calls: list[_Call]) -> None:
        self._watch.wake()

    def _position(self) -> object:
        """A number that changes with each commit of Treadle's; None once the store is closed."""
        return self._lock.ring.end() if self._thread.is_running else None

    def _look_at_files(self) -> object:
        """What changes with commits of other programs, and if the files are replaced."""
        if not self._thread.is_running:
            return None
        return self._data_version(), self._files.are_in_place()

    def _sleepers(self) -> Sleepers | None:
        ring = self._ring()
        return None if ring is None else ring.sleepers

    def _data_version(self) -> object:
        with translate_errors(self._path, self._files), using_sqlite():
            return self._watcher.execute("PRAGMA data_version").fetchone()

    def _ring(self) -> HintRing | None:
        return self._lock.ring if self._thread.is_running else None


def _create(path: str) -> None:
    """Create the file, unless it exists; SQLite would create it with the mode of the umask."""
    with suppress(FileExistsError):
        # Not a file that exists: closing it would release the locks of other connections to it.
        os.close(os.open(os.path.realpath(path), os.O_CREAT | os.O_EXCL, PRIVATE_FILE))


def _carry_out(
    calls: list[_Call],
    now: int,
    damage: DamageLog,
    versions: VersionSource,
    hints: set[Hint],
) -> Program[list[Any]]:
    """Carry out calls in their order; successive batches share statements, and so do claims."""
    outcomes: list[Any] = []
    for kind, group in groupby(calls, type):
        if kind is ClaimRequest:
            claimed = yield from claim(cast("list[ClaimRequest]", list(group)), now, damage)
            hints |= hints_of_claims(claimed)
            outcomes += claimed
        else:
            batches = cast("list[Commands]", list(group))
            outcomes += yield from commit(batches, now, damage, versions, hints)
    for index, outcome in enumerate(outcomes):
        if isinstance(outcome, Exception):
            outcomes[index] = Failure(outcome)
    return outcomes
