"""Google ADK: `DatabaseSessionService`, on asyncpg."""

from importlib import import_module

from benchmarks.peers.google_adk import AdkSessions
from benchmarks.peers.postgres.base import PostgresSubject


class AdkOnPostgres(PostgresSubject, AdkSessions):
    """A session for each thread."""

    name = "ADK DatabaseSessionService"
    fills_quickly = False

    async def open(self) -> None:
        await PostgresSubject.open(self)

    async def close(self) -> None:
        await PostgresSubject.close(self)

    def durability(self) -> str:
        return PostgresSubject.durability(self)

    async def begin(self) -> None:
        module = import_module("google.adk.sessions.database_session_service")
        address = self.address.uri(scheme="postgresql+asyncpg")
        self.serve(module.DatabaseSessionService(db_url=address))

    async def end(self) -> None:
        await self.service.close()
