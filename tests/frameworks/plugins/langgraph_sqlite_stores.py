"""A plugin of pytest: tests of `SqliteStore` and `AsyncSqliteStore` with ours in their places."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from langgraph.store.sqlite import SqliteStore
from langgraph.store.sqlite.aio import AsyncSqliteStore

import treadle.blocking
from treadle.integrations.langgraph import TreadleStore


class BlockingStore(TreadleStore):
    """Has the methods that `SqliteStore` has beside those of the interface."""

    def setup(self) -> None:
        """Do nothing: the store is there."""

    def start_ttl_sweeper(self, interval: int | None = None) -> "Future[None]":
        """Do nothing: what has expired is not found, swept or not."""
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def stop_ttl_sweeper(self, timeout: float | None = None) -> bool:
        """Do nothing."""
        return True


class AsyncStore(TreadleStore):
    """Has the methods that `AsyncSqliteStore` has beside those of the interface."""

    async def setup(self) -> None:
        """Do nothing: the store is there."""

    async def sweep_ttl(self) -> int:  # type: ignore[override]
        """Sweep."""
        return await self.asweep_ttl()

    async def start_ttl_sweeper(self, interval: int | None = None) -> "asyncio.Future[None]":
        """Do nothing: what has expired is not found, swept or not."""
        return asyncio.get_running_loop().create_future()

    async def stop_ttl_sweeper(self, timeout: float | None = None) -> bool:
        """Do nothing."""
        return True

    async def __aenter__(self) -> "AsyncStore":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


class Replaced(SqliteStore):
    """Makes one of our stores, or LangGraph's if it has to have an index of vectors."""

    @classmethod
    @contextmanager
    def from_conn_string(cls, conn_string: str, **options: Any) -> Generator[Any]:
        """Make a store that has nothing in it."""
        if options.get("index"):
            with SqliteStore.from_conn_string(conn_string, **options) as store:
                yield store
            return
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:///{Path(folder) / 'a.db'}"
            with treadle.blocking.open_store(url) as store:
                yield BlockingStore(store, ttl=options.get("ttl"))


class AsyncReplaced(AsyncSqliteStore):
    """Makes one of our stores, or LangGraph's if it has to have an index of vectors."""

    @classmethod
    @asynccontextmanager
    async def from_conn_string(cls, conn_string: str, **options: Any) -> AsyncGenerator[Any]:
        """Make a store that has nothing in it."""
        if options.get("index"):
            async with AsyncSqliteStore.from_conn_string(conn_string, **options) as store:
                yield store
            return
        with tempfile.TemporaryDirectory() as folder:
            async with treadle.open_store(f"sqlite:///{Path(folder) / 'a.db'}") as store:
                yield AsyncStore(store, ttl=options.get("ttl"))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Replace the names that the tests use."""
    for name, module in list(sys.modules.items()):
        if not name.startswith(("tests.test_", "test_")):
            continue
        for ours in (Replaced, AsyncReplaced):
            [theirs] = ours.__bases__
            if hasattr(module, theirs.__name__):
                setattr(module, theirs.__name__, ours)
