"""`durability` reaches the disk, and `relaxed` loses nothing with a process either."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest

from treadle import Thread, open_store
from treadle.backends.files.backend import FilesBackend
from treadle.backends.files.disk import Disk
from treadle.backends.sqlite.backend import SqliteBackend
from treadle.clock import Clock
from treadle.testing._harness.writer_processes import kill_among_others
from treadle.testing.subject import Subject


@pytest.mark.parametrize(("durability", "syncs"), [("full", 3), ("relaxed", 0)])
async def test_files_sync_each_commit_or_none(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    durability: Literal["full", "relaxed"],
    syncs: int,
) -> None:
    counted: list[int] = []
    monkeypatch.setattr(Disk, "sync_log", lambda self, log: counted.append(log))
    async with open_store(tmp_path, durability=durability) as store:
        for number in range(3):
            await store.threads.create(Thread(id=f"t{number}"))
        assert len(counted) == syncs


@pytest.mark.parametrize(("durability", "level"), [("full", 2), ("relaxed", 1)])
async def test_sqlite_syncs_as_the_durability_says(
    tmp_path: Path, durability: Literal["full", "relaxed"], level: int
) -> None:
    async with open_store(f"sqlite:///{tmp_path}/store.db", durability=durability) as store:
        backend: Any = store._backend
        assert backend._writer.execute("PRAGMA synchronous").fetchone() == (level,)


def relaxed(make: Callable[..., Any], name: str, place: Path, clock: Clock) -> Any:
    """A relaxed backend in a folder."""
    return make(place / name, clock, "relaxed")


@pytest.mark.parametrize("make", [FilesBackend, SqliteBackend])
def test_a_killed_process_loses_nothing_with_relaxed(
    tmp_path: Path, make: Callable[..., Any]
) -> None:
    kill_among_others(Subject(make=partial(relaxed, make, "store.db")), tmp_path, kills=10)
