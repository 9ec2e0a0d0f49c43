"""Google ADK: `SqliteSessionService`, with its defaults."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from importlib import import_module
from typing import Any

from benchmarks.peers.base import HeadSubject, ThreadSubject, sqlite_durability
from benchmarks.stores import durability_of, url_in
from treadle import open_store

OWNER = {"app_name": "bench", "user_id": "user"}


class AdkSessions(ThreadSubject):
    """A session for each thread, a connection for each call."""

    name = "ADK SqliteSessionService"
    distribution = "google-adk"
    slow = True

    async def open(self) -> None:
        module = import_module("google.adk.sessions.sqlite_session_service")
        self.database = self.folder / "sessions.db"
        self.serve(module.SqliteSessionService(str(self.database)))

    def serve(self, service: Any) -> None:
        """Use this session service."""
        self.service = service
        self.event = import_module("google.adk.events").Event
        self.actions = import_module("google.adk.events.event_actions").EventActions
        self.types = import_module("google.genai.types")
        base = import_module("google.adk.sessions.base_session_service")
        self.config = base.GetSessionConfig

    async def close(self) -> None:
        await self.service.close()

    def durability(self) -> str:
        return sqlite_durability(self.database)

    async def start(self, name: str, texts: Sequence[str] = ()) -> Any:
        session = await self.service.create_session(**OWNER, session_id=name)
        if texts:
            self._fill(name, texts)
        return session

    def _fill(self, session_id: str, texts: Sequence[str]) -> None:
        """Insert events into its table, because the service takes seconds for a thousand."""
        events = map(self._event, texts)
        rows = [
            (
                each.id,
                *OWNER.values(),
                session_id,
                "bench",
                each.timestamp,
                each.model_dump_json(exclude_none=True),
            )
            for each in events
        ]
        with closing(sqlite3.connect(self.database)) as database, database:
            database.executemany("insert into events values (?, ?, ?, ?, ?, ?, ?)", rows)

    def _event(self, text: str) -> Any:
        content = self.types.Content(role="user", parts=[self.types.Part(text=text)])
        return self.event(author="user", invocation_id="bench", content=content)

    async def append(self, thread: Any, text: str) -> None:
        event = self._event(text)
        while True:  # of many callers at a time, its SQLite gives some up after five seconds
            try:
                await self.service.append_event(thread, event)
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
            else:
                return

    async def last(self, thread: Any, count: int) -> Sequence[object]:
        session = await self.service.get_session(
            **OWNER, session_id=thread.id, config=self.config(num_recent_events=count)
        )
        events: list[object] = session.events
        return events


class TreadleAdkSessions(AdkSessions):
    """Our session service, with a store that stays open."""

    name = "treadle"
    uses_store = True
    slow = False

    async def open(self) -> None:
        self.kept = open_store(url_in(self.store, self.folder))
        await self.kept.open()
        adapter = import_module("treadle.integrations.google_adk")
        self.serve(adapter.TreadleSessionService(self.kept))

    async def close(self) -> None:
        await self.kept.close()

    def durability(self) -> str:
        return durability_of(self.store)


class AdkHeads(AdkSessions, HeadSubject):
    """A list of sessions has no pages, and a title is in the state of a session."""

    note = "its sessions have no events; a list has all of them"

    async def fill(self, threads: int, texts: Sequence[str]) -> None:
        for number in range(threads):
            title = {"title": f"about {number}"}
            await self.service.create_session(**OWNER, session_id=f"t{number}", state=title)

    async def head(self, number: int) -> object:
        config = self.config(num_recent_events=0)
        return await self.service.get_session(**OWNER, session_id=f"t{number}", config=config)

    async def newest(self, count: int) -> Sequence[object]:
        listed = await self.service.list_sessions(**OWNER)
        newest: list[object] = listed.sessions[-count:]
        return newest

    async def rename(self, number: int, title: str) -> None:
        session = await self.service.get_session(**OWNER, session_id=f"t{number}")
        actions = self.actions(state_delta={"title": title})
        event = self.event(author="user", invocation_id="bench", actions=actions)
        await self.service.append_event(session, event)
