"""Closing releases everything, and so does opening that fails, whatever else fails."""

import asyncio
import gc
import os
import sqlite3
import threading
from pathlib import Path

import pytest

import treadle
from treadle import CorruptRecord, StoreUnavailable, Thread
from treadle.backends.sqlite.backend import SqliteBackend
from treadle.store.store import Store


class UnwillingConnection(sqlite3.Connection):
    """Raises once it is closed."""

    def close(self) -> None:
        super().close()
        raise sqlite3.OperationalError("disk I/O error")


def _held() -> tuple[int, int]:
    """How many descriptors and threads of stores there are."""
    gc.collect()  # of the tests before this one
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("treadle")]
    return len(os.listdir("/proc/self/fd")), len(ours)


async def _use(path: Path) -> None:
    async with asyncio.timeout(20), treadle.open_store(f"sqlite:///{path}") as store:
        await store.threads.save(Thread(id="t"))
        await store.threads.list()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="it counts descriptors in /proc")
async def test_a_connection_that_cannot_be_closed_leaves_nothing_else_open(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await _use(path)
    before = _held()
    store = await Store(SqliteBackend(path, make_writer=UnwillingConnection)).open()
    await store.threads.list()
    with pytest.raises(StoreUnavailable, match="disk I/O error"):
        await store.close()
    await store.close()
    assert _held() == before
    await _use(path)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="it counts descriptors in /proc")
async def test_an_opening_that_fails_leaves_nothing_open(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database" * 1000)
    (tmp_path / "queue.db-lock").mkdir()
    await _use(tmp_path / "store.db")
    before = _held()
    for name, error in (("text.db", CorruptRecord), ("queue.db", CorruptRecord)):
        with pytest.raises(error):
            await treadle.open_store(f"sqlite:///{tmp_path}/{name}").open()
        assert _held() == before, name
