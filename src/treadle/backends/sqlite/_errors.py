"""Errors of SQLite and of the system, as errors of Treadle."""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

import msgspec

from treadle.backends._plain_files import NotPlainFile
from treadle.errors import CorruptRecord, InvalidValue, StoreUnavailable, TreadleError

_DAMAGED = (
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_CONSTRAINT,
)
_MISSING = ("no such table", "no such column", "has no column", "malformed", "UTF-8")
UNREADABLE = (
    msgspec.MsgspecError,
    ArithmeticError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""The errors that our own code raises for values that a healthy database never contains."""


@contextmanager
def translate_errors(path: str) -> Generator[None, None, None]:
    """Raise SQLite's errors in the block as Treadle's, with the original as the cause.

    Raises:
        CorruptRecord: the file is damaged, or is no database, or one beside it is no plain file.
        InvalidValue: a value is too large.
        StoreUnavailable: it cannot be read or written.
    """
    try:
        yield
    except sqlite3.DataError as error:
        raise InvalidValue("batch", f"SQLite cannot store a value: {error}") from error
    except (sqlite3.Error, OSError) as error:
        raise translate(error, path) from error
    except TreadleError:
        raise
    except UNREADABLE as error:
        raise CorruptRecord(path, f"a row is not what it should be: {error}") from error


def translate(
    error: sqlite3.Error | OSError, path: str, doing: str = ""
) -> CorruptRecord | StoreUnavailable:
    """Return the error of Treadle for one of SQLite or the system; `doing` begins its reason."""
    if isinstance(error, NotPlainFile):
        return CorruptRecord(error.path, error.reason)
    reason = f"{doing}: {error}" if doing else str(error)
    if isinstance(error, sqlite3.Error) and _is_damage(error):
        return CorruptRecord(path, reason)
    return StoreUnavailable(path, reason)


def _is_damage(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)  # the driver's own errors have none
    known = code is not None and code & 0xFF in _DAMAGED
    return known or any(word in str(error) for word in _MISSING)
