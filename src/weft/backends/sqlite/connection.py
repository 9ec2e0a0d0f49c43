"""Connections: how they are opened, what their errors mean, and how programs run on them."""

import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import msgspec

from weft.backends.sql.program import Program, Read, Row, Statement
from weft.backends.sql.texts import Texts
from weft.errors import CorruptRecord, StoreUnavailable

T = TypeVar("T")
Durability = Literal["full", "relaxed"]
MakeConnection = Callable[..., sqlite3.Connection]

_TEXTS = Texts("sqlite")
_PATIENCE_SECONDS = 60
"""For programs that are not Weft; those that are wait at the turnstile."""
_PAGE_BYTES = 8192
"""Of a new file: seven messages of a kilobyte to a page, where the usual 4096 hold three."""
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_MISMATCH)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, TypeError, ValueError)
_MISSING = ("no such table", "no such column", "has no column", "malformed", "UTF-8")


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
        return connection.execute(_TEXTS.of_read(statement), statement.values).fetchall()
    connection.executemany(_TEXTS.of_write(statement.name), statement.rows)
    return []


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
    """Let SQLite's errors be Weft's, with those of SQLite as their cause.

    Raises:
        CorruptRecord: the file is damaged, or not what it says it is.
        StoreUnavailable: it cannot be read or written.
    """
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise _translated(error, path) from error
    except _UNREADABLE as error:
        if isinstance(error, CorruptRecord):
            raise
        raise CorruptRecord(path, f"a row is not what it should be: {error}") from error


def _translated(error: Any, path: str) -> CorruptRecord | StoreUnavailable:
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in _DAMAGED:
        return CorruptRecord(path, str(error))
    if isinstance(error, sqlite3.Error) and any(word in str(error) for word in _MISSING):
        return CorruptRecord(path, str(error))
    return StoreUnavailable(path, str(error))
