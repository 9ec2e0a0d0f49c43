"""Hints on SQLite where nobody gives them: "anything" comes, because the database has changed."""

import asyncio
import sqlite3
from collections.abc import Awaitable
from pathlib import Path

import pytest

from treadle import Message, Store, Thread, open_store
from treadle.backends.sqlite._fair_lock import FairFileLock
from treadle.core.hints import ANYTHING, Hint

SOON_SECONDS = 10


async def next_hint(store: Store, *, after: Awaitable[object]) -> Hint:
    """Return the hint that comes after the first, when something has been done."""
    hints = store.changes(thread_id="t")
    assert await anext(hints) == ANYTHING
    await after
    async with asyncio.timeout(SOON_SECONDS):
        hint = await anext(hints)
    await hints.aclose()
    return hint


async def test_a_commit_whose_process_gives_no_hints_is_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    async with open_store(url) as store, open_store(url) as dying:
        await store.threads.create(Thread(id="t"))
        await asyncio.sleep(0.1)
        monkeypatch.setattr(FairFileLock, "give_hints", lambda self, hints: None)
        append = dying.threads.append("t", Message.user("hi"))
        assert await next_hint(store, after=append) == ANYTHING


async def test_what_another_program_writes_is_anything(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with open_store(f"sqlite:///{path}") as store:
        await store.threads.create(Thread(id="t"))
        await asyncio.sleep(0.1)

        def write() -> None:
            with sqlite3.connect(path) as connection:
                connection.execute("UPDATE threads SET updated_at = updated_at + 1")
            connection.close()

        assert await next_hint(store, after=asyncio.to_thread(write)) == ANYTHING
