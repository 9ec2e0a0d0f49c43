"""A copy of a database file as it is at one moment, while others write to it.

SQLite's backup copies the pages within a read transaction. What others commit in the meantime is
behind it in the log, so the copy is of one moment and never starts over. It reports its progress,
and the rows are counted in the same transaction, so the copy can be compared with the counts.
`VACUUM INTO` would write a smaller file. But it reports no progress, runs in no transaction (the
counts may be of another moment), and rebuilds every row and index, which takes several times as
long. The price: until the copy is complete, the log cannot be moved into the file.
"""

import os
import sqlite3
import tempfile
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from treadle.backends._deadline import CALL_SECONDS, Patience
from treadle.backends.sqlite._connection import closing, connect_beside_others, transaction
from treadle.backends.sqlite._errors import translate_errors
from treadle.backends.sqlite._uses import using_sqlite
from treadle.backends.sqlite.schema import check_owner
from treadle.core.codec import Model
from treadle.errors import AlreadyExists, CorruptRecord

_PAGES = 256
"""The number of pages that are copied between two reports of progress: a few milliseconds."""


class Backup(Model, frozen=True, kw_only=True):
    """A copy that is complete and checked: its size, and the number of rows of each table."""

    pages: int
    bytes: int
    rows: dict[str, int]


class Snapshot:
    """A database file as it is at one moment; see `snapshot`."""

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        self._connection = connection
        self._path = path
        (self.pages,) = connection.execute("PRAGMA page_count").fetchone()
        self.rows = _count_rows(connection)

    def copy_to(self, target: str | os.PathLike[str], advance: Callable[[int], None]) -> Backup:
        """Copy to a temporary file, check the copy, and only then give it the name `target`.

        Args:
            target: a path at which there is nothing yet.
            advance: called with the number of pages copied since the last call.

        Raises:
            AlreadyExists: there is something at `target`.
            CorruptRecord: the copy is damaged, as the file is; the copy is deleted.
            StoreUnavailable: it cannot be written there.
        """
        target = os.path.abspath(target)
        with translate_errors(target):
            if os.path.lexists(target):
                raise _already_there(target)
            with _unfinished(target) as part:
                self._copy_pages(part, advance)
                self._check(part)
                os.chmod(part, os.stat(self._path).st_mode & 0o777)
                _sync(part)
                _publish(part, target)
            _sync(os.path.dirname(target))
            return Backup(pages=self.pages, bytes=os.stat(target).st_size, rows=self.rows)

    def _copy_pages(self, part: str, advance: Callable[[int], None]) -> None:
        copied = 0

        def report(status: int, remaining: int, total: int) -> None:
            nonlocal copied
            advance(total - remaining - copied)
            copied = total - remaining

        with using_sqlite(), closing(sqlite3.connect(part)) as connection:
            self._connection.backup(connection, pages=_PAGES, progress=report)

    def _check(self, part: str) -> None:
        """Check the pages of the copy, and compare its rows with the counts."""
        address = f"{Path(part).as_uri()}?mode=ro&immutable=1"  # leaves no files beside it
        try:
            with using_sqlite(), closing(sqlite3.connect(address, uri=True)) as connection:
                messages = [text for (text,) in connection.execute("PRAGMA integrity_check(9)")]
                rows = _count_rows(connection)
        except sqlite3.DatabaseError as error:
            raise CorruptRecord(self._path, f"its copy is damaged: {error}") from error
        if messages != ["ok"]:
            raise CorruptRecord(self._path, f"its copy is damaged: {'; '.join(messages)}")
        if rows != self.rows:
            raise CorruptRecord(self._path, "its copy has other numbers of rows")


@contextmanager
def snapshot(path: str | os.PathLike[str]) -> Generator[Snapshot]:
    """Keep a store's file as it is now, for the duration of the block.

    Raises:
        InvalidValue: it is a database of another program.
        CorruptRecord: it is damaged.
        StoreUnavailable: it cannot be read.
    """
    path = os.path.abspath(path)
    with ExitStack() as held:
        with translate_errors(path):
            connection = held.enter_context(closing(connect_beside_others(path)))
            held.enter_context(transaction(connection, "DEFERRED", Patience.of(CALL_SECONDS)))
            check_owner(connection, path)
            found = Snapshot(connection, path)
        yield found


def _count_rows(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the number of rows of each table."""
    listed = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    )
    counts: dict[str, int] = {}
    for (table,) in sorted(listed):
        quoted = table.replace('"', '""')
        (counts[table],) = connection.execute(f'SELECT COUNT(*) FROM "{quoted}"').fetchone()  # noqa: S608
    return counts


@contextmanager
def _unfinished(target: str) -> Generator[str]:
    """A temporary file beside `target`, deleted at the end."""
    folder, name = os.path.split(target)
    handle, part = tempfile.mkstemp(prefix=f".{name}.", suffix=".part", dir=folder)
    os.close(handle)
    try:
        yield part
    finally:
        for path in (part, f"{part}-journal"):
            with suppress(FileNotFoundError):
                os.remove(path)


def _publish(part: str, target: str) -> None:
    """Give the file its name, unless something else has taken it."""
    try:
        os.link(part, target)
    except FileExistsError as error:
        raise _already_there(target) from error
    except OSError as error:  # a disk without hard links
        if os.path.lexists(target):
            raise _already_there(target) from error
        os.rename(part, target)


def _already_there(target: str) -> AlreadyExists:
    return AlreadyExists("file", target, "name another, or remove it first")


def _sync(path: str) -> None:
    if os.name == "nt" and os.path.isdir(path):
        return  # Windows cannot sync a folder
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
