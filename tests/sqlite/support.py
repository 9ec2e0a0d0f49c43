"""Helpers that create database files, and change them behind the store's back."""

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any, TypeVar

import treadle
from treadle.backends.sqlite.backend import SqliteBackend
from treadle.backends.sqlite.doctor import examine
from treadle.clock import Clock
from treadle.store.store import Store
from treadle.testing._harness import sample_data
from treadle.testing._harness.process_pool import PRELOADED
from treadle.testing._harness.sample_data import fill
from treadle.testing.builtin_subjects import SQLITE
from treadle.testing.subject import Subject

T = TypeVar("T")

PRELOADED.append(__name__)  # the processes of the checks open stores with it


def no_time_passes() -> int:
    """A clock that never advances, so that no lease runs out."""
    return 1_800_000_000_000


def opened(path: Path, clock: Clock = no_time_passes) -> Store:
    """Return the store of a database file, not yet open."""
    return Store(SqliteBackend(path, clock))


def in_store(path: Path, work: Callable[[Store], Awaitable[T]]) -> T:
    """Open the store, and return the result of `work`."""

    async def open_and_work() -> T:
        async with opened(path) as store:
            return await work(store)

    return asyncio.run(open_and_work())


def filled(path: Path) -> Path:
    """Create a closed database file with rows of every kind."""
    in_store(path, fill)
    return path


def change(path: Path, *statements: str) -> None:
    """Run statements on a database file that Treadle would never run."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def look(path: Path, query: str) -> list[Any]:
    """Return the rows of a query on a database file."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


@cache
def empty() -> bytes:
    """The bytes of a new store. To write them takes half as long as to create them again."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        in_store(path, _nothing)
        return path.read_bytes()


async def _nothing(store: Store) -> None:
    pass


class CopiedBackend(SqliteBackend):
    """Begins with a copy of an empty store instead of creating one."""

    async def open(self) -> None:
        await asyncio.to_thread(copy_empty, Path(self._path))
        await super().open()


def copy_empty(path: Path) -> None:
    """Let there be an empty store, unless there is one, or another process is faster."""
    if path.exists():
        return
    with NamedTemporaryFile(dir=path.parent) as file:
        file.write(empty())
        file.flush()
        with suppress(FileExistsError):
            os.link(file.name, path)


def make_copied(folder: Path, clock: Clock) -> CopiedBackend:
    """The backend in a folder."""
    return CopiedBackend(folder / "store.db", clock)


def examine_all(folders: Sequence[Path]) -> None:
    """Have the doctor examine the stores of folders, which are closed."""
    for path in (folder / "store.db" for folder in folders):
        if path.exists():
            report = examine(path)
            assert report.findings == (), report.findings


EXAMINED = Subject(make=make_copied, make_stepping=SQLITE.make_stepping, remove=examine_all)
"""The SQLite backend; the doctor examines each store when its check is over."""

Call = Callable[[Store], Awaitable[object]]
READS: dict[str, Call] = sample_data.READS | {
    "load the other thread": lambda store: store.threads.load("u"),
    "count messages": lambda store: store.threads.message_count("t"),
}
WRITES: dict[str, Call] = {
    "append": lambda store: store.threads.append("t", treadle.ThreadChangeSet()),
    "create": lambda store: store.threads.create(treadle.Thread(id="new")),
    "save": lambda store: store.threads.save(treadle.Thread(id="u")),
    "update": lambda store: store.threads.update("u", metadata={"title": "x"}),
    "fork": lambda store: store.threads.fork("t", "new"),
    "truncate": lambda store: store.threads.truncate("t", drop=1),
    "upsert": lambda store: store.runs.upsert(treadle.RunRecord(run_id="r", thread_id="t")),
    "send": lambda store: store.mailboxes.send("box", 1, dedupe_key="known"),
    "claim": lambda store: store.mailboxes.claim(limit=9, consumer="w"),
    "interrupt": lambda store: store.mailboxes.interrupt("box"),
    "purge": lambda store: store.mailboxes.purge(100),
}
"""Calls on a filled store, of every kind."""
