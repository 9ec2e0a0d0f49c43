"""OpenAI Agents: `SQLAlchemySession`, on asyncpg."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.peers.base import ThreadSubject
from benchmarks.peers.postgres.base import PostgresSubject


class OpenAiOnPostgres(PostgresSubject, ThreadSubject):
    """A session for each thread, all on one engine."""

    name = "OpenAI Agents SQLAlchemySession"
    distribution = "openai-agents"

    async def begin(self) -> None:
        make = import_module("sqlalchemy.ext.asyncio").create_async_engine
        self.engine: Any = make(
            "postgresql+asyncpg://", connect_args=self.address.for_asyncpg(), pool_size=16
        )
        self.session: Any = import_module("agents.extensions.memory").SQLAlchemySession

    async def end(self) -> None:
        await self.engine.dispose()

    async def start(self, name: str, texts: Sequence[str] = ()) -> Any:
        session = self.session(name, engine=self.engine, create_tables=True)
        for first in range(0, len(texts) or 1, 500):
            await session.add_items([_item(text) for text in texts[first : first + 500]])
        return session

    async def append(self, thread: Any, text: str) -> None:
        await thread.add_items([_item(text)])

    async def last(self, thread: Any, count: int) -> Sequence[object]:
        items: list[object] = await thread.get_items(limit=count)
        return items


def _item(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}
