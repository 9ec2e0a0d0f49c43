"""OpenAI Agents: `SQLAlchemySession`, on asyncpg."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.peers.openai_agents import OpenAiSessions
from benchmarks.peers.postgres.base import PostgresSubject


class OpenAiOnPostgres(PostgresSubject, OpenAiSessions):
    """A session for each thread, all on one engine."""

    name = "OpenAI Agents SQLAlchemySession"
    distribution = "openai-agents"

    async def begin(self) -> None:
        create_engine = import_module("sqlalchemy.ext.asyncio").create_async_engine
        self.engine: Any = create_engine(
            "postgresql+asyncpg://", connect_args=self.address.for_asyncpg(), pool_size=16
        )
        self.session: Any = import_module("agents.extensions.memory").SQLAlchemySession

    async def end(self) -> None:
        await self.engine.dispose()

    async def start(self, name: str, texts: Sequence[str] = ()) -> Any:
        session = await super().start(name, texts)
        await session.add_items([])  # the first call creates the tables
        return session

    def session_of(self, name: str) -> Any:
        return self.session(name, engine=self.engine, create_tables=True)
