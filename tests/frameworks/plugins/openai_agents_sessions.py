"""A plugin of pytest for a child process: the SDK's own tests, with our session for one of theirs.

`TREADLE_REPLACED` is "simple" or "sqlite", for `SimpleListSession` of the tests or `SQLiteSession`
of the SDK, and `TREADLE_KIND` the kind of store. The tests make a session before there is an event
loop, look into it without `await`, and share it between threads, so a stand-in opens a store for
each event loop, and closes it with the loop. A store in memory is one for all loops. A database of
PostgreSQL, at `TREADLE_URL`, is one for all sessions, which have threads with names of their own.
"""

import asyncio
import os
import shutil
import sys
import tempfile
import threading
import uuid
from collections.abc import AsyncGenerator, Coroutine
from importlib import import_module
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import agents
import agents.memory
from agents.memory import SessionSettings
from agents.memory.session_settings import coerce_session_settings

import treadle
from treadle.integrations.openai_agents import TreadleSession

sys.path.append(os.getcwd())

KIND = os.environ["TREADLE_KIND"]
FOLDER = Path(tempfile.mkdtemp())
Loop = asyncio.AbstractEventLoop
_stores: "WeakKeyDictionary[Loop, dict[str, asyncio.Future[treadle.Store]]]" = WeakKeyDictionary()
_open: list[AsyncGenerator[treadle.Store]] = []
_in_memory: dict[str, treadle.Store] = {}


async def _opened(url: str) -> AsyncGenerator[treadle.Store]:
    async with treadle.open_store(url) as store:
        yield store


async def _store(url: str) -> treadle.Store:
    """Return the store at `url` of the running event loop, which closes it when it ends."""
    if KIND == "memory":
        if url not in _in_memory:
            _in_memory[url] = treadle.open_store("memory:")
            await _in_memory[url].open()
        return _in_memory[url]
    found = _stores.setdefault(asyncio.get_running_loop(), {})
    if url not in found:
        _open.append(_opened(url))
        found[url] = asyncio.ensure_future(anext(_open[-1]))
    return await asyncio.shield(found[url])


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine on an event loop of its own, in a thread, and return the result."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(asyncio.run(work)))
    thread.start()
    thread.join()
    return results[0]


def _url(path: str) -> str:
    name = FOLDER / uuid.uuid4().hex if path == ":memory:" else Path(f"{path}.treadle")
    if KIND == "postgres":
        return os.environ["TREADLE_URL"]
    return f"sqlite:///{name}" if KIND == "sqlite" else str(name)


class StandIn(agents.memory.Session):
    """A `TreadleSession` for each event loop, on stores at one URL."""

    session_settings: SessionSettings | None = None

    def __init__(self, session_id: str, path: str = ":memory:") -> None:
        self.session_id = session_id
        self._url = _url(path)
        self._thread_id = f"{session_id}-{uuid.uuid4()}" if KIND == "postgres" else session_id
        self._sessions: WeakKeyDictionary[Loop, TreadleSession] = WeakKeyDictionary()
        self._is_closed = False

    async def _session(self) -> TreadleSession:
        if self._is_closed:
            raise treadle.StoreClosed
        store = await _store(self._url)
        loop = asyncio.get_running_loop()
        if loop not in self._sessions:
            self._sessions[loop] = TreadleSession(self._thread_id, store)
        self._sessions[loop].session_settings = self.session_settings
        return self._sessions[loop]

    async def get_items(self, limit: int | None = None) -> Any:
        return await (await self._session()).get_items(limit)

    async def add_items(self, items: Any) -> None:
        await (await self._session()).add_items(items)

    async def pop_item(self) -> Any:
        return await (await self._session()).pop_item()

    async def clear_session(self) -> None:
        await (await self._session()).clear_session()

    def close(self) -> None:
        self._is_closed = True


class ForSQLiteSession(StandIn):
    """In the place of `agents.SQLiteSession`."""

    def __init__(
        self,
        session_id: str,
        db_path: str | Path = ":memory:",
        sessions_table: str = "agent_sessions",
        messages_table: str = "agent_messages",
        session_settings: SessionSettings | dict[str, Any] | None = None,
    ) -> None:
        super().__init__(session_id, str(db_path))
        self.session_settings = coerce_session_settings(session_settings or SessionSettings())

    async def _get_compaction_snapshot(self, limit: int, **options: Any) -> Any:
        return await (await self._session())._get_compaction_snapshot(limit, **options)


class ForSimpleListSession(StandIn):
    """In the place of the tests' `SimpleListSession`, which has no hooks."""

    def __init__(self, session_id: str = "test", history: list[Any] | None = None) -> None:
        super().__init__(session_id)
        self._ignore_ids_for_matching = False
        if history:
            _run(StandIn.add_items(self, history))  # a subclass may do more to add items

    @property
    def saved_items(self) -> Any:
        return _run(StandIn.get_items(self))

    _items = saved_items


def pytest_configure() -> None:
    if os.environ["TREADLE_REPLACED"] == "sqlite":
        agents.SQLiteSession = agents.memory.SQLiteSession = ForSQLiteSession  # type: ignore[assignment, misc]
        return
    simple_session = import_module("tests.utils.simple_session")
    simple_session.SimpleListSession = ForSimpleListSession  # type: ignore[attr-defined]
    simple_session.CountingSession.__bases__ = (ForSimpleListSession,)


def pytest_unconfigure() -> None:
    shutil.rmtree(FOLDER)
