"""Google ADK: `SqliteSessionService`, with its defaults."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.peers.base import ThreadSubject, sqlite_durability

OWNER = {"app_name": "bench", "user_id": "user"}


class AdkSessions(ThreadSubject):
    """A session for each thread, a connection for each call."""

    name = "ADK SqliteSessionService"
    distribution = "google-adk"
    slow = True
    fills_quickly = False  # it adds events one by one

    async def open(self) -> None:
        module = import_module("google.adk.sessions.sqlite_session_service")
        self.database = self.folder / "sessions.db"
        self.serve(module.SqliteSessionService(str(self.database)))

    def serve(self, service: Any) -> None:
        """Use this session service."""
        self.service = service
        self.event = import_module("google.adk.events").Event
        self.types = import_module("google.genai.types")
        base = import_module("google.adk.sessions.base_session_service")
        self.config = base.GetSessionConfig

    async def close(self) -> None:
        await self.service.close()

    def durability(self) -> str:
        return sqlite_durability(self.database)

    async def start(self, name: str, texts: Sequence[str] = ()) -> Any:
        session = await self.service.create_session(**OWNER, session_id=name)
        for text in texts:
            await self.append(session, text)
        return session

    async def append(self, thread: Any, text: str) -> None:
        content = self.types.Content(role="user", parts=[self.types.Part(text=text)])
        event = self.event(author="user", invocation_id="bench", content=content)
        await self.service.append_event(thread, event)

    async def last(self, thread: Any, count: int) -> Sequence[object]:
        session = await self.service.get_session(
            **OWNER, session_id=thread.id, config=self.config(num_recent_events=count)
        )
        events: list[object] = session.events
        return events
