"""OpenAI Agents: `SQLiteSession`, with its defaults."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.peers.base import EditSubject, sqlite_durability
from benchmarks.stores import durability_of, url_in
from treadle import open_store


class OpenAiSessions(EditSubject):
    """A session for each thread, all in one file."""

    name = "OpenAI Agents SQLiteSession"
    distribution = "openai-agents"
    has_titles = False

    async def open(self) -> None:
        self.make = import_module("agents").SQLiteSession
        self.database = self.folder / "sessions.db"
        self.sessions: list[Any] = []

    async def close(self) -> None:
        for session in self.sessions:
            session.close()

    def durability(self) -> str:
        return sqlite_durability(self.database)

    async def start(self, name: str, texts: Sequence[str] = ()) -> Any:
        session = self.session_of(name)
        for first in range(0, len(texts), 500):
            await session.add_items([_item(text) for text in texts[first : first + 500]])
        return session

    def session_of(self, name: str) -> Any:
        """Return a new session."""
        session = self.make(name, self.database)
        self.sessions.append(session)
        return session

    async def append(self, thread: Any, text: str) -> None:
        await thread.add_items([_item(text)])

    async def take_back(self, thread: Any) -> None:
        await thread.pop_item()

    async def last(self, thread: Any, count: int) -> Sequence[object]:
        items: list[object] = await thread.get_items(limit=count)
        return items


class TreadleOpenAiSessions(OpenAiSessions):
    """Our sessions, with a store that stays open."""

    name = "treadle"
    uses_store = True

    async def open(self) -> None:
        self.kept = open_store(url_in(self.store, self.folder))
        await self.kept.open()
        self.adapter = import_module("treadle.integrations.openai_agents")

    async def close(self) -> None:
        await self.kept.close()

    def durability(self) -> str:
        return durability_of(self.store)

    def session_of(self, name: str) -> Any:
        """Return a new session."""
        return self.adapter.TreadleSession(name, self.kept)


def _item(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}
