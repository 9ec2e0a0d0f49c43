"""Schemas that tests take turns with: each is migrated once, and emptied before it is used again.

Tests that run at the same time have different schemas. The suite names stores by folders: a file in
the folder contains the name of its schema, so that the other processes of a check find it.
"""

import os
from collections import deque
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from uuid import uuid4

import msgspec
import psycopg
from psycopg import sql

from tests.postgres.kept_sessions import KeptSession, stepping
from treadle.backends.base import Backend
from treadle.backends.postgres.backend import PostgresBackend
from treadle.backends.postgres.location import Location, parse_location
from treadle.backends.postgres.schema import migrate
from treadle.clock import Clock
from treadle.testing import Subject
from treadle.testing._harness.process_pool import PRELOADED
from treadle.testing.subject import Step

PRELOADED.append(__name__)  # the processes of the checks open stores with it

_TABLES = (
    "threads",
    "thread_times",
    "thread_bodies",
    "messages",
    "removed_messages",
    "patches",
    "deltas",
    "runs",
    "run_times",
    "mailboxes",
    "queue_heads",
    "entries",
    "payloads",
    "documents",
    "commits",
)
_FILE = "schema"
_SHARED = "schema-of-several"
"""A file beside it, once a process has used a schema that another has taken."""


class SchemaPool:
    """The schemas of one process on one server."""

    def __init__(self, url: str) -> None:
        self._location = parse_location(url)
        self._connection = psycopg.connect(self._location.conninfo, autocommit=True)
        self._free: deque[str] = deque()
        self._emptying: dict[str, bytes] = {}
        """The statements that empty a schema, by its name: the server takes them as one."""

    def take(self) -> str:
        """The name of a schema with the current tables, which are empty."""
        if not self._free:
            name = f"treadle_test_{uuid4().hex[:16]}"
            migrate(msgspec.structs.replace(self._location, schema=name))
            self._emptying[name] = _emptying(name)
            return name
        # Emptied now and not when it was given back: a process that was killed may have left the
        # server with a transaction to finish.
        name = self._free.popleft()
        self._connection.execute(self._emptying[name], prepare=False)
        return name

    def give_back(self, name: str, *, used_alone: bool = False) -> None:
        """Let another test have a schema; another process may have created it.

        Args:
            name: the schema.
            used_alone: whether no other process has used it. It is taken next: sessions that are
                kept have statements for it.
        """
        if name not in self._emptying:
            self._emptying[name] = _emptying(name)
        if used_alone:
            self._free.appendleft(name)
        else:
            self._free.append(name)

    def drop_all(self) -> None:
        """Drop all schemas; none may be in use."""
        for name in self._emptying:
            drop = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name))
            self._connection.execute(drop)
        self._connection.close()


def _emptying(name: str) -> bytes:
    tables = (sql.Identifier(name, table) for table in _TABLES)
    return b"; ".join(sql.SQL("DELETE FROM {}").format(table).as_bytes() for table in tables)


@cache
def pool_of(url: str) -> SchemaPool:
    """The schemas of this process on a server."""
    return SchemaPool(url)


def make(url: str, folder: Path, clock: Clock) -> Backend:
    """The backend in the schema of a folder."""
    return PostgresBackend(_location(url, folder), clock, connection_class=KeptSession)


def make_stepping(url: str, folder: Path, clock: Clock, step: Step) -> Backend:
    """The backend in the schema of a folder, with the fault hook."""
    return PostgresBackend(_location(url, folder), clock, connection_class=stepping(step))


def remove(url: str, folders: Sequence[Path]) -> None:
    """Give back the schemas of folders."""
    for folder in folders:
        file = folder / _FILE
        if file.is_file():
            name, process = _taken(file)
            used_alone = process == os.getpid() and not (folder / _SHARED).is_file()
            pool_of(url).give_back(name, used_alone=used_alone)
            file.unlink()


def pooled_subject(url: str) -> Subject:
    """The PostgreSQL backend on a server, in schemas and sessions that are used again."""
    return Subject(
        make=partial(make, url),
        make_stepping=partial(make_stepping, url),
        remove=partial(remove, url),
    )


def _location(url: str, folder: Path) -> Location:
    """The schema of a folder; one is taken if it has none yet."""
    file = folder / _FILE
    if not file.is_file():
        mine = folder / f"{_FILE}-{os.getpid()}"
        mine.write_text(f"{pool_of(url).take()} {os.getpid()}")
        try:
            os.link(mine, file)  # the first of several processes wins
        except FileExistsError:
            pool_of(url).give_back(_taken(mine)[0])
        mine.unlink()
    name, process = _taken(file)
    if process != os.getpid():
        (folder / _SHARED).touch()
    return msgspec.structs.replace(parse_location(url), schema=name)


def _taken(file: Path) -> tuple[str, int]:
    """The schema in a file, and the process that has taken it."""
    name, process = file.read_text().split()
    return name, int(process)
