"""Our own backends, to be certified: by URL, and with the fault hook."""

import hashlib
import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from treadle.backends.base import Backend
from treadle.backends.files.backend import FilesBackend
from treadle.backends.files.disk import Bytes, Disk
from treadle.backends.memory.backend import MemoryBackend
from treadle.backends.registry import find_backend
from treadle.backends.sql.program import Row
from treadle.backends.sqlite.backend import SqliteBackend
from treadle.backends.urls import folder_path, split_url, sqlite_path
from treadle.clock import Clock, system_clock
from treadle.testing.subject import Step, Subject

if TYPE_CHECKING:
    from treadle.backends.postgres.location import Location


class SteppingDisk(Disk):
    """The real disk; it calls `step` before each thing that changes it."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self._step = step

    def write_atomically(
        self, path: str, parts: Sequence[Bytes], temp_folder: str, *, sync: bool = False
    ) -> None:
        """As the disk does it, after a step."""
        self._step()
        super().write_atomically(path, parts, temp_folder, sync=sync)

    def append(self, path: str, data: bytes) -> None:
        """As the disk does it, after a step."""
        self._step()
        super().append(path, data)

    def remove(self, path: str) -> None:
        """As the disk does it, after a step."""
        self._step()
        super().remove(path)

    def write_log(self, log: int, start: int, data: Bytes) -> None:
        """As the disk does it, after a step."""
        self._step()
        super().write_log(log, start, data)

    def sync_log(self, log: int) -> None:
        """As the disk does it, after a step."""
        self._step()
        super().sync_log(log)


class SteppingConnection(sqlite3.Connection):
    """A connection that calls `step` before each statement that others may notice.

    Within a transaction that are the first and the last: what it writes in between is nowhere but
    in the memory of its process until it is committed. A death there is one before the last.
    """

    def __init__(self, *arguments: Any, step: Step, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._step = step
        self._has_begun = False
        """Whether the transaction has had a statement."""

    def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        """As the connection does it, after a step."""
        self._step_before(statement)
        return super().execute(statement, *arguments)

    def executemany(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        """As the connection does it, after a step."""
        self._step_before(statement)
        return super().executemany(statement, *arguments)

    def _step_before(self, statement: str) -> None:
        is_inner = self.in_transaction and not statement.startswith(("COMMIT", "ROLLBACK"))
        if not (is_inner and self._has_begun):
            self._step()
        self._has_begun = is_inner


def make_memory(folder: Path, clock: Clock) -> MemoryBackend:
    """The memory backend, which needs no folder."""
    return MemoryBackend(clock)


def make_files(folder: Path, clock: Clock) -> FilesBackend:
    """The files backend in a folder."""
    return FilesBackend(folder, clock)


def make_stepping_files(folder: Path, clock: Clock, step: Step) -> FilesBackend:
    """The files backend in a folder, with the hook."""
    return FilesBackend(folder, clock, disk=SteppingDisk(step))


MEMORY = Subject(make=make_memory)


def make_sqlite(folder: Path, clock: Clock) -> SqliteBackend:
    """The SQLite backend in a folder."""
    return SqliteBackend(folder / "store.db", clock)


def make_stepping_sqlite(folder: Path, clock: Clock, step: Step) -> SqliteBackend:
    """The SQLite backend in a folder, with the hook."""
    make_writer = partial(SteppingConnection, step=step)
    return SqliteBackend(folder / "store.db", clock, make_writer=make_writer)


def schema_of(folder: Path) -> str:
    """The schema that belongs to a folder."""
    return f"treadle_{hashlib.sha256(str(folder).encode()).hexdigest()[:20]}"


def location_of(url: str, folder: Path) -> "Location":
    """Where on a PostgreSQL server the store of a folder is."""
    from treadle.backends.postgres.location import parse_location

    return msgspec.structs.replace(parse_location(url), schema=schema_of(folder))


def make_postgres(url: str, folder: Path, clock: Clock) -> Backend:
    """The PostgreSQL backend in a schema that belongs to a folder."""
    from treadle.backends.postgres.backend import PostgresBackend

    return PostgresBackend(location_of(url, folder), clock, migrate=True)


def make_stepping_postgres(url: str, folder: Path, clock: Clock, step: Step) -> Backend:
    """The PostgreSQL backend in a schema that belongs to a folder, with the hook."""
    return stepping_postgres(location_of(url, folder), clock, step, migrate=True)


def stepping_postgres(
    location: "Location", clock: Clock, step: Step, *, migrate: bool = False
) -> Backend:
    """The PostgreSQL backend with the fault hook."""
    from treadle.backends.postgres.backend import PostgresBackend
    from treadle.backends.postgres.connection import Connection

    class SteppingPostgres(Connection):
        """A connection that calls `step` before and after each round trip to the server."""

        def send(self, queries: Sequence[Any]) -> list[list[Row]]:
            step()
            rows = super().send(queries)
            step()
            return rows

    return PostgresBackend(location, clock, migrate=migrate, connection_class=SteppingPostgres)


def remove_postgres(url: str, folders: Sequence[Path]) -> None:
    """Drop the schemas of folders."""
    import psycopg
    from psycopg import sql

    conninfo = location_of(url, folders[0]).conninfo
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for folder in folders:
            drop = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE")
            connection.execute(drop.format(sql.Identifier(schema_of(folder))))


def postgres_subject(url: str) -> Subject:
    """The PostgreSQL backend on a server; each folder has a schema of its own."""
    return Subject(
        make=partial(make_postgres, url),
        make_stepping=partial(make_stepping_postgres, url),
        remove=partial(remove_postgres, url),
    )


FILES = Subject(make=make_files, make_stepping=make_stepping_files)
SQLITE = Subject(make=make_sqlite, make_stepping=make_stepping_sqlite)


def subject_at(url: str) -> tuple[Subject, Path | None]:
    """The backend that `url` means, and the folder in which the suite creates its folders.

    Raises:
        InvalidValue: there is no backend for the URL.
    """
    find_backend(url, system_clock, "full")
    scheme, rest = split_url(url)
    match scheme:
        case "memory":
            return MEMORY, None
        case "sqlite":
            return SQLITE, sqlite_path(rest).parent
        case "postgresql" | "postgres":
            return postgres_subject(url), None
        case _:
            return FILES, folder_path(rest)
