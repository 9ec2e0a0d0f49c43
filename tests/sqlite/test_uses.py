"""Uses of SQLite and forks: they wait for each other, and a child knows if one did not."""

import os
import sqlite3
import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import get_ident
from typing import Any

import pytest

from treadle import Message, Thread, open_store
from treadle.backends.sqlite import _connection, _uses
from treadle.backends.sqlite.backup import snapshot
from treadle.backends.sqlite.doctor import examine

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

SOON_SECONDS = 10


@contextmanager
def used_by_another_thread() -> Generator[threading.Event]:
    """Use SQLite on another thread; the event says when that has begun."""
    begun, end = threading.Event(), threading.Event()

    def use() -> None:
        with _uses.using_sqlite():
            begun.set()
            end.wait(SOON_SECONDS)

    thread = threading.Thread(target=use)
    thread.start()
    try:
        yield begun
    finally:
        end.set()
        thread.join()


@contextmanager
def fork_under_way() -> Generator[None]:
    """This thread forks in the block."""
    _uses._before_fork()
    try:
        yield
    finally:
        _uses._after_fork_in_parent()


def is_unsafe() -> bool:
    """Whether a child that is forked now may not use SQLite."""
    return get_ident() in _uses._unsafe_forks


def test_a_use_waits_for_a_fork_while_another_fork_ends() -> None:
    def fork() -> None:
        with fork_under_way():
            pass

    with fork_under_way():
        other = threading.Thread(target=fork)
        other.start()
        other.join()
        with used_by_another_thread() as begun:
            assert not begun.wait(0.2)
            assert not is_unsafe()
            _uses._after_fork_in_parent()
            assert begun.wait(SOON_SECONDS)


def test_a_use_does_not_wait_for_ever_and_the_child_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_uses, "_USE_SECONDS", 0.05)
    with fork_under_way(), used_by_another_thread() as begun:
        assert begun.wait(SOON_SECONDS)
        assert is_unsafe()
    assert not is_unsafe()


def test_a_fork_does_not_wait_for_ever_and_the_child_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_uses, "_FORK_SECONDS", 0.05)
    with used_by_another_thread() as begun:
        assert begun.wait(SOON_SECONDS)
        with fork_under_way():
            assert is_unsafe()


def test_a_child_knows_if_the_wait_of_the_fork_was_interrupted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    with used_by_another_thread() as begun:
        assert begun.wait(SOON_SECONDS)
        monkeypatch.setattr("treadle.backends.sqlite._uses.time.sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            _uses._before_fork()
        assert is_unsafe()
        _uses._after_fork_in_parent()


def test_a_child_does_not_wait_for_the_threads_of_its_parent() -> None:
    with used_by_another_thread() as begun:
        assert begun.wait(SOON_SECONDS)
        child = os.fork()
        if child == 0:
            os._exit(0 if _uses.is_spoilt() and not _uses._users else 1)
        assert os.waitpid(child, 0)[1] == 0
    assert not _uses.is_spoilt()


async def test_every_call_of_sqlite_is_in_a_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside: list[str] = []
    seen: set[str] = set()

    def note(call: str) -> None:
        seen.add(call)
        if get_ident() not in _uses._users:
            outside.append(call)

    class Watched(sqlite3.Connection):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            note("connect")
            super().__init__(*arguments, **options)

        def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
            note(statement.partition(" ")[0])
            return super().execute(statement, *arguments)

        def close(self) -> None:
            note("close")
            super().close()

        def backup(self, *arguments: Any, **options: Any) -> None:
            note("backup")
            super().backup(*arguments, **options)

    def connect(*arguments: Any) -> sqlite3.Connection:
        path, durability, patience, _, cache_kib = arguments
        return make(path, durability, patience, Watched, cache_kib)

    make = _connection._connect
    monkeypatch.setattr(_connection, "_connect", connect)
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Watched))
    path = tmp_path / "store.db"
    async with open_store(f"sqlite:///{path}") as store:
        await store.threads.create(Thread(id="t"))
        await store.threads.append("t", Message.user("hi"))
        await store.mailboxes.send("box", 1)
        await store.mailboxes.claim(consumer="c")
        await store.mailboxes.wait(50)
        await store.threads.load("t")
        await store.erase("anna")
        with snapshot(path) as found:
            found.copy_to(tmp_path / "copy.db", lambda pages: None)
    assert not examine(path).findings
    async with open_store(f"sqlite:///{path}", read_only=True) as reader:
        assert await reader.threads.load("t") is not None
    assert seen >= {"connect", "BEGIN", "PRAGMA", "INSERT", "SELECT", "COMMIT", "backup", "close"}
    assert not outside
