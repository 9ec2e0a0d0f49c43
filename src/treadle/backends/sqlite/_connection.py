"""Opening connections, and transactions on them."""

import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from treadle.backends.base import Durability

MakeConnection = Callable[..., sqlite3.Connection]

_TIMEOUT_SECONDS = 60
"""How long to wait for other programs; Treadle's own processes wait for the `FairFileLock`."""
_PAGE_BYTES = 8192
"""The page size of a new file. It holds seven messages of 1 kB; the usual 4096 hold three."""


def connect(
    path: str, durability: Durability, make: MakeConnection = sqlite3.Connection
) -> sqlite3.Connection:
    """Open a connection, which one thread uses at a time.

    The driver begins no transactions by itself: `transaction` does, by statement.
    """
    connection = make(
        path,
        timeout=_TIMEOUT_SECONDS,
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


def connect_read_only(path: str) -> sqlite3.Connection:
    """Open a connection that creates no file and writes no row."""
    # Not `mode=ro`, which could not read a store whose log has to be recovered first.
    connection = sqlite3.connect(
        f"{Path(path).absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=_TIMEOUT_SECONDS,
        isolation_level=None,
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA query_only = ON")
    return connection


@contextmanager
def transaction(
    connection: sqlite3.Connection, kind: Literal["DEFERRED", "IMMEDIATE"]
) -> Generator[None, None, None]:
    """Run the block in a transaction: commit at its end, or roll back after an error."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # SQLite itself rolls back after a full disk, for one
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
