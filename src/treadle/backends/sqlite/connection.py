"""Connections: how they are opened, what their errors mean, and how programs run on them."""

import sqlite3
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, get_type_hints

import msgspec

from treadle.backends.base import Durability
from treadle.backends.sql.program import Program, Read, Row, Statement
from treadle.backends.sql.texts import Texts
from treadle.core.limits import Count, Generation, Time, Version
from treadle.core.mailboxes import MailboxEntry
from treadle.core.threads import ThreadMetadata
from treadle.errors import CorruptRecord, StoreUnavailable, TreadleError

T = TypeVar("T")
MakeConnection = Callable[..., sqlite3.Connection]

_TEXTS = Texts("sqlite")
_PATIENCE_SECONDS = 60
"""How long to wait for other programs; Treadle's own processes wait for the `FairFileLock`."""
_PAGE_BYTES = 8192
"""Of a new file: seven messages of a kilobyte to a page, where the usual 4096 hold three."""
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
"""What our own code raises over values that a healthy database never holds."""

COLUMNS: dict[str, Any] = {
    **get_type_hints(MailboxEntry, include_extras=True),
    "body": str,
    "committed_at": Time,
    "current_generation": Generation,
    "extra": str | None,
    "message_count": Count,
    "message_id": str | None,
    "patch_count": Count,
    "payload": str,
    "position": Count,
    "state": str,
    "thread_id": str,
    "thread_key": int,
    "updated_at": get_type_hints(ThreadMetadata, include_extras=True)["updated_at"],
    "version": Version,
}
"""What each column holds. SQLite keeps any value in any column, so who reads must look."""


def connect(
    path: str, durability: Durability, make: MakeConnection = sqlite3.Connection
) -> sqlite3.Connection:
    """A connection, used by one thread at a time; transactions begin and end by statement."""
    connection = make(
        path,
        timeout=_PATIENCE_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=512,
    )
    for pragma in (
        f"synchronous = {'FULL' if durability == 'full' else 'NORMAL'}",
        f"page_size = {_PAGE_BYTES}",
        "trusted_schema = OFF",
        "cache_size = -16000",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def connect_to_look(path: str) -> sqlite3.Connection:
    """A connection that makes no file and writes no row: for those who look at a store."""
    connection = sqlite3.connect(
        f"{Path(path).absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=_PATIENCE_SECONDS,
        isolation_level=None,
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA query_only = ON")
    return connection


def run(connection: sqlite3.Connection, program: Program[T]) -> T:
    """Carry out a program, statement by statement."""
    try:
        statements = next(program)
        while True:
            statements = program.send([_execute(connection, each) for each in statements])
    except StopIteration as end:
        result: T = end.value
        return result


def _execute(connection: sqlite3.Connection, statement: Statement) -> list[Row]:
    if isinstance(statement, Read):
        cursor = connection.execute(_TEXTS.of_read(statement), statement.values)
        return check_rows(tuple(column for column, *_ in cursor.description), cursor.fetchall())
    connection.executemany(_TEXTS.of_write(statement.name), statement.rows)
    return []


def check_rows(columns: tuple[str, ...], rows: list[Row]) -> list[Row]:
    """The rows, if each value is what its column is for.

    Raises:
        ValueError: one is not; the message names the column and the row.
    """
    kind = _row_type(columns)
    for row in rows:
        try:
            msgspec.convert(row, kind)
        except msgspec.ValidationError as error:
            raise ValueError(_blame(columns, row)) from error
    return rows


@cache
def _row_type(columns: tuple[str, ...]) -> type[msgspec.Struct]:
    fields = [(f"column_{i}", COLUMNS.get(name, Any)) for i, name in enumerate(columns)]
    return msgspec.defstruct("Row", fields, array_like=True)


def _blame(columns: Iterable[str], row: Sequence[object]) -> str:
    """Which column of a row is wrong, and why; a row is known by its first column."""
    for column, value in zip(columns, row, strict=True):
        try:
            msgspec.convert(value, COLUMNS.get(column, Any))
        except msgspec.ValidationError as error:
            return f"in the row of {row[0]!r}, {column}: {error}"
    return f"in the row of {row[0]!r}"


@contextmanager
def transaction(
    connection: sqlite3.Connection, kind: Literal["DEFERRED", "IMMEDIATE"]
) -> Generator[None, None, None]:
    """Commit what happens inside, or take it back."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextmanager
def telling_errors(path: str) -> Generator[None, None, None]:
    """Let SQLite's errors be Treadle's, with those of SQLite as their cause.

    Raises:
        CorruptRecord: the file is damaged, or not what it says it is.
        StoreUnavailable: it cannot be read or written.
    """
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise translated(error, path) from error
    except TreadleError:
        raise
    except UNREADABLE as error:
        raise CorruptRecord(path, f"a row is not what it should be: {error}") from error


def translated(
    error: sqlite3.Error | OSError, path: str, doing: str = ""
) -> CorruptRecord | StoreUnavailable:
    """An error of SQLite or of the system as one of Treadle's; `doing` what, if that helps."""
    reason = f"{doing}: {error}" if doing else str(error)
    if isinstance(error, sqlite3.Error) and _tells_damage(error):
        return CorruptRecord(path, reason)
    return StoreUnavailable(path, reason)


def _tells_damage(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)  # the driver's own errors have none
    known = code is not None and code & 0xFF in _DAMAGED
    return known or any(word in str(error) for word in _MISSING)
