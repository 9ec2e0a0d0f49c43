"""Opening connections, and transactions on them."""

import ctypes
import os
import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal

from treadle.backends._deadline import Patience
from treadle.backends._modes import can_write
from treadle.backends.base import Durability
from treadle.backends.sqlite._errors import is_busy
from treadle.backends.sqlite._side_files import beside, check_files
from treadle.backends.sqlite._uses import begin_use, end_use, is_spoilt, using_sqlite
from treadle.errors import StoreUnavailable

MakeConnection = Callable[..., sqlite3.Connection]

_LOOK_SECONDS = 0.05
"""How long SQLite itself waits for other programs; `transaction` goes on as long as its caller has
patience. Treadle's own processes wait for the `FairFileLock`."""
_PAUSE_SECONDS = 0.005
_OLDEST_SQLITE = (3, 33, 0)
"""The first version that knows `sqlite_schema`; Python is built with whatever the system has."""
WRITER_CACHE_KIB = 8_000
READER_CACHE_KIB = 2_000
"""How much of the database a connection keeps in memory; a store has one writer and up to five
others. What they do not keep, the system does."""
_PAGE_BYTES = 8192
"""The page size of a new file. It holds seven messages of 1 kB; the usual 4096 hold three."""


def connect(
    path: str,
    durability: Durability,
    patience: Patience,
    make: MakeConnection = sqlite3.Connection,
    *,
    cache_kib: int = READER_CACHE_KIB,
) -> sqlite3.Connection:
    """Open a connection to a file that exists, which one thread uses at a time.

    The driver begins no transactions by itself: `transaction` does, by statement. It keeps pages of
    `cache_kib` KiB in memory.

    Raises:
        StoreUnavailable: this process was forked while its parent was using SQLite, or Python has a
            version of SQLite that is too old.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        wanted = ".".join(map(str, _OLDEST_SQLITE))
        reason = f"this Python has SQLite {sqlite3.sqlite_version}; use one with {wanted} or later"
        raise StoreUnavailable(path, reason)
    check_files(path)
    with _using_sqlite_to_open(path):
        return _connect(path, durability, patience, make, cache_kib)


@contextmanager
def _using_sqlite_to_open(path: str) -> Generator[None]:
    with using_sqlite():
        if is_spoilt():
            reason = "this process was forked while its parent was using SQLite"
            raise StoreUnavailable(path, f"{reason}; open it in a process that starts afresh")
        yield


def _connect(
    path: str,
    durability: Durability,
    patience: Patience,
    make: MakeConnection,
    cache_kib: int,
) -> sqlite3.Connection:
    connection = make(
        f"{Path(path).as_uri()}?mode=rw",
        uri=True,
        timeout=_LOOK_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=512,
    )
    try:
        _set_up(connection, durability, patience, cache_kib)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(
    connection: sqlite3.Connection, durability: Durability, patience: Patience, cache_kib: int
) -> None:
    for pragma in (
        f"synchronous = {'FULL' if durability == 'full' else 'NORMAL'}",
        f"page_size = {_PAGE_BYTES}",
        "trusted_schema = OFF",
        "secure_delete = ON",  # what is deleted is overwritten, not only forgotten
        f"cache_size = -{cache_kib}",
        "temp_store = MEMORY",
    ):
        execute(connection, f"PRAGMA {pragma}", patience)


def has_log(path: str) -> bool:
    """Return True if some of the database may be in its log."""
    try:
        return os.stat(beside(path, "-wal")).st_size > 0
    except FileNotFoundError:
        return False


def connect_read_only(path: str, *, is_logged: bool) -> sqlite3.Connection:
    """Open a connection that creates no file, and writes none.

    Args:
        path: the file.
        is_logged: there is a log that is not empty. Without one, SQLite takes no locks, and the
            caller must see to it that nobody writes meanwhile.

    Raises:
        StoreUnavailable: this process was forked while its parent was using SQLite.
    """
    check_files(path)
    return _connect_to_read(path, "mode=ro" if is_logged else "mode=ro&immutable=1")


def connect_beside_others(path: str) -> sqlite3.Connection:
    """Open a connection that creates no database and writes no row, but may recover the log.

    Raises:
        StoreUnavailable: this process was forked while its parent was using SQLite.
    """
    if not can_write(os.path.dirname(os.path.realpath(path))):
        return connect_read_only(path, is_logged=has_log(path))
    check_files(path)
    return _connect_to_read(path, "mode=rw")


def _connect_to_read(path: str, how: str) -> sqlite3.Connection:
    with _using_sqlite_to_open(path):
        connection = sqlite3.connect(
            f"{Path(path).absolute().as_uri()}?{how}",
            uri=True,
            timeout=_LOOK_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA query_only = ON")
        return connection


def execute(connection: sqlite3.Connection, statement: str, patience: Patience) -> sqlite3.Cursor:
    """Execute a statement, again and again while another program has locked the file.

    Raises:
        sqlite3.OperationalError: it was locked for too long.
    """
    while True:
        try:
            return connection.execute(statement)
        except sqlite3.OperationalError as error:
            if not is_busy(error) or patience.is_over:
                raise
            time.sleep(_PAUSE_SECONDS)  # for some statements SQLite itself does not wait


def empty_log(connection: sqlite3.Connection, patience: Patience) -> bool:
    """Write the log into the file and empty it; return False if others read it for too long."""
    while True:
        is_last = patience.is_over
        is_busy, *_ = execute(connection, "PRAGMA wal_checkpoint(TRUNCATE)", patience).fetchone()
        if not is_busy or is_last:
            return not is_busy
        time.sleep(_PAUSE_SECONDS)


def transaction(
    connection: sqlite3.Connection, kind: Literal["DEFERRED", "IMMEDIATE"], patience: Patience
) -> AbstractContextManager[None]:
    """Run the block in a transaction: commit at its end, or roll back after an error.

    Once it has begun, other programs cannot hold it up: an immediate one takes its snapshot when it
    begins, a deferred one with its first query.
    """
    return _Transaction(connection, kind, patience)


class _Transaction:
    """What `transaction` returns; a generator would take longer."""

    __slots__ = ("_connection", "_kind", "_patience")

    def __init__(
        self,
        connection: sqlite3.Connection,
        kind: Literal["DEFERRED", "IMMEDIATE"],
        patience: Patience,
    ) -> None:
        self._connection = connection
        self._kind = kind
        self._patience = patience

    def __enter__(self) -> None:
        begin_use()
        try:
            execute(self._connection, f"BEGIN {self._kind}", self._patience)
            if self._kind == "DEFERRED":
                execute(self._connection, "SELECT 1 FROM sqlite_schema LIMIT 1", self._patience)
        except BaseException:
            self._roll_back()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self._roll_back()
            return
        try:
            self._connection.execute("COMMIT")
        finally:
            end_use()

    def _roll_back(self) -> None:
        try:
            # SQLite itself has rolled back after some errors, such as a full disk.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        finally:
            end_use()


def give_up(connection: sqlite3.Connection) -> None:
    """Close a connection in a forked child, whose parent goes on with its own.

    SQLite keeps the locks of a process in its memory. As long as a child has a connection of its
    parent, the connections that it opens itself see locks that nobody holds.
    """
    if is_spoilt():
        # Closing might wait for ever, and would roll back what the parent is about to commit, in
        # memory that they share.
        keep(connection)
    else:
        connection.close()


def close(connection: sqlite3.Connection) -> None:
    """Close a connection that no thread uses any longer."""
    with using_sqlite():
        connection.close()


@contextmanager
def closing(connection: sqlite3.Connection) -> Generator[sqlite3.Connection]:
    """Close a connection at the end of the block."""
    try:
        yield connection
    finally:
        close(connection)


def keep(connection: sqlite3.Connection) -> None:
    """Prevent a connection from ever being closed, even when the interpreter ends."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
