"""Errors of SQLite and of the system, as errors of Treadle."""

import sqlite3
from contextlib import AbstractContextManager
from types import TracebackType

from treadle.backends._fair_lock import holder_of
from treadle.backends._identity import lost
from treadle.backends._plain_files import NotPlainFile
from treadle.backends.sql.rows import UNREADABLE
from treadle.backends.sqlite._open_files import OpenFiles
from treadle.backends.sqlite._side_files import beside
from treadle.errors import CorruptRecord, InvalidValue, StoreUnavailable, TreadleError

_DAMAGED = (
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_CONSTRAINT,
)
_WRITING = 120
"""The byte of the `-shm` file that a writer locks."""
_MISSING = ("no such table", "no such column", "has no column", "malformed", "UTF-8")


def translate_errors(path: str, files: OpenFiles | None = None) -> AbstractContextManager[None]:
    """Raise SQLite's errors in the block as Treadle's, with the original as the cause.

    Args:
        path: the database.
        files: its files, if they are open. If they were removed or replaced, the error says so.
            SQLite's own error may say anything, such as "disk I/O error".

    Raises:
        CorruptRecord: the file is damaged or not a database, or one beside it is not a plain file.
        InvalidValue: a value is too large.
        StoreUnavailable: it cannot be read or written.
    """
    return _Translation(path, files)


class _Translation:
    """What `translate_errors` returns; a generator would take five times as long."""

    __slots__ = ("_files", "_path")

    def __init__(self, path: str, files: OpenFiles | None) -> None:
        self._path = path
        self._files = files

    def __enter__(self) -> None:
        """Begin the block."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None or isinstance(error, TreadleError):
            return
        if isinstance(error, sqlite3.DataError):
            raise InvalidValue("batch", f"SQLite cannot store a value: {error}") from error
        if isinstance(error, sqlite3.Error | OSError):
            if self._files is not None and not self._files.are_in_place():
                raise lost(self._path) from error
            raise translate(error, self._path) from error
        if isinstance(error, UNREADABLE):
            reason = f"a row is not what it should be: {error}"
            raise CorruptRecord(self._path, reason) from error


def translate(
    error: sqlite3.Error | OSError, path: str, doing: str = ""
) -> CorruptRecord | StoreUnavailable:
    """Return the error of Treadle for one of SQLite or the system; `doing` begins its reason."""
    if isinstance(error, NotPlainFile):
        return CorruptRecord(error.path, error.reason)
    text = _busy(path) if isinstance(error, sqlite3.Error) and is_busy(error) else str(error)
    reason = f"{doing}: {text}" if doing else text
    if isinstance(error, sqlite3.Error) and _is_damage(error):
        return CorruptRecord(path, reason)
    return StoreUnavailable(path, reason)


def is_busy(error: sqlite3.Error) -> bool:
    """Return True if another program has locked the file."""
    code = getattr(error, "sqlite_errorcode", 0)  # the driver's own errors have none
    return code & 0xFF == sqlite3.SQLITE_BUSY


def _busy(path: str) -> str:
    holder = holder_of(beside(path, "-shm"), _WRITING) or holder_of(path)
    named = f" ({holder})" if holder else ""
    return f"another program{named} holds the file for writing; let it finish, or end it"


def _is_damage(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)  # the driver's own errors have none
    known = code is not None and code & 0xFF in _DAMAGED
    return known or any(word in str(error) for word in _MISSING)
