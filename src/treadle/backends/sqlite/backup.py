"""A copy of a database file as it is at one moment, while others write to it.

SQLite's backup copies the pages within a read transaction: what others commit meanwhile stands
beyond it in the log, so the copy is of one moment and never has to begin anew. It tells how far it
is, and the rows are counted in the same transaction, so the copy can be held against the counts.
`VACUUM INTO` would make a tighter file; but it tells no progress, runs in no transaction (what is
counted may be another moment), and writes every row and index anew, which takes several times as
long. Its price: until the copy is made, the log cannot be emptied into the file.
"""

import os
import sqlite3
import tempfile
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from treadle.backends.sqlite.connection import connect_read_only, transaction
from treadle.backends.sqlite.errors import translate_errors
from treadle.backends.sqlite.schema import check_owner
from treadle.core.codec import Model
from treadle.errors import AlreadyExists, CorruptRecord

_PAGES = 256
"""How many pages are copied between two reports: a few milliseconds' worth."""


class Backup(Model, frozen=True, kw_only=True):
    """A copy that was made and checked: its size, and how many rows its tables have."""

    pages: int
    bytes: int
    rows: dict[str, int]


class Snapshot:
    """A database file as it is at one moment; made by `snapshot`."""

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        self._connection = connection
        self._path = path
        (self.pages,) = connection.execute("PRAGMA page_count").fetchone()
        self.rows = _count_rows(connection)

    def copy_to(self, target: str | os.PathLike[str], advance: Callable[[int], None]) -> Backup:
        """Make the copy, check it, and only then put it at `target`.

        Args:
            target: where nothing is yet.
            advance: called with how many more pages are copied.

        Raises:
            AlreadyExists: something is there.
            CorruptRecord: the copy is damaged, as the file is: nothing is left of it.
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
                _put_in_place(part, target)
            _sync(os.path.dirname(target))
            return Backup(pages=self.pages, bytes=os.stat(target).st_size, rows=self.rows)

    def _copy_pages(self, part: str, advance: Callable[[int], None]) -> None:
        copied = 0

        def report(status: int, remaining: int, total: int) -> None:
            nonlocal copied
            advance(total - remaining - copied)
            copied = total - remaining

        with closing(sqlite3.connect(part)) as connection:
            self._connection.backup(connection, pages=_PAGES, progress=report)

    def _check(self, part: str) -> None:
        """See that the copy is sound, and has as many rows as were counted."""
        address = f"{Path(part).as_uri()}?mode=ro&immutable=1"  # leaves no files beside it
        try:
            with closing(sqlite3.connect(address, uri=True)) as connection:
                told = [text for (text,) in connection.execute("PRAGMA integrity_check(9)")]
                rows = _count_rows(connection)
        except sqlite3.DatabaseError as error:
            raise CorruptRecord(self._path, f"its copy is damaged: {error}") from error
        if told != ["ok"]:
            raise CorruptRecord(self._path, f"its copy is damaged: {'; '.join(told)}")
        if rows != self.rows:
            raise CorruptRecord(self._path, "its copy has not as many rows as it has")


@contextmanager
def snapshot(path: str | os.PathLike[str]) -> Generator[Snapshot]:
    """Hold a store's file as it is now, for as long as the block takes.

    Raises:
        InvalidValue: it is a database of another program.
        CorruptRecord: it is damaged.
        StoreUnavailable: it cannot be read.
    """
    path = os.path.abspath(path)
    with ExitStack() as held:
        with translate_errors(path):
            connection = held.enter_context(closing(connect_read_only(path)))
            held.enter_context(transaction(connection, "DEFERRED"))
            check_owner(connection, path)
            found = Snapshot(connection, path)
        yield found


def _count_rows(connection: sqlite3.Connection) -> dict[str, int]:
    """How many rows each table has."""
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
    """A file beside `target` that is gone at the end."""
    folder, name = os.path.split(target)
    handle, part = tempfile.mkstemp(prefix=f".{name}.", suffix=".part", dir=folder)
    os.close(handle)
    try:
        yield part
    finally:
        for path in (part, f"{part}-journal"):
            with suppress(FileNotFoundError):
                os.remove(path)


def _put_in_place(part: str, target: str) -> None:
    """Give the file its name, unless something has it by now."""
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
        return  # Windows has no such thing
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
