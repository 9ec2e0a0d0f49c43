"""Connections: an acknowledged commit is on the disk, unless the caller relaxed that."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any, Literal

import pytest

from treadle import StoreUnavailable, open_store
from treadle.backends.sqlite._connection import connect


def keeping_connections(monkeypatch: pytest.MonkeyPatch, *modules: str) -> list[sqlite3.Connection]:
    """Return the list of the connections that these modules open from now on."""
    opened: list[sqlite3.Connection] = []

    def connect_and_keep(*arguments: Any, **options: Any) -> sqlite3.Connection:
        opened.append(connect(*arguments, **options))
        return opened[-1]

    for module in modules:
        monkeypatch.setattr(f"treadle.backends.sqlite.{module}.connect", connect_and_keep)
    return opened


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("relaxed", 1)])
async def test_a_commit_is_synced_if_the_store_is_fully_durable(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    durability: Literal["full", "relaxed"],
    synchronous: int,
) -> None:
    """In write-ahead mode 2 (FULL) syncs at each commit, 1 (NORMAL) at checkpoints only."""
    opened = keeping_connections(monkeypatch, "backend")
    async with open_store(f"sqlite:///{tmp_path}/store.db", durability=durability):
        writer = opened[0]
        assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert writer.execute("PRAGMA synchronous").fetchone() == (synchronous,)


async def test_all_connections_together_keep_less_than_20_megabytes_of_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = keeping_connections(monkeypatch, "backend", "_readers")
    async with open_store(f"sqlite:///{tmp_path}/store.db") as store:
        await asyncio.gather(*(store.mailboxes.count_entries() for _ in range(100)))
        kept = [connection.execute("PRAGMA cache_size").fetchone()[0] for connection in opened]
    writer, watcher, *readers = kept
    assert readers
    assert min(kept) < 0  # KiB; a number above would be of pages
    assert -1024 * (writer + watcher + 4 * readers[0]) < 20_000_000


async def test_reads_one_after_the_other_share_a_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new one reads the schema, and prepares each statement, before it answers."""
    opened = keeping_connections(monkeypatch, "_readers")
    async with open_store(f"sqlite:///{tmp_path}/store.db") as store:
        for _ in range(100):
            await store.mailboxes.count_entries()
        assert len(opened) == 1
        await asyncio.gather(*(store.mailboxes.count_entries() for _ in range(100)))
        assert len(opened) <= 4


async def test_a_version_of_sqlite_that_is_too_old_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 31, 1))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.31.1")
    with pytest.raises(StoreUnavailable, match=r"SQLite 3\.31\.1; use one with 3\.33\.0 or later"):
        await open_store(f"sqlite:///{tmp_path}/store.db").open()
