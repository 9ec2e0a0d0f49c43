"""LangGraph: `AsyncPostgresSaver` under the graph of one node."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Any

from benchmarks.peers.base import ThreadSubject
from benchmarks.peers.langgraph import append_to, build_for_loop, last_of, start_of
from benchmarks.peers.postgres.base import PostgresSubject


class SaverOnPostgres(PostgresSubject, ThreadSubject):
    """An append is one invocation of the graph."""

    name = "LangGraph AsyncPostgresSaver"
    distribution = "langgraph-checkpoint-postgres"
    slow = True
    fills_quickly = False

    async def begin(self) -> None:
        self.stack = AsyncExitStack()
        saver = import_module("langgraph.checkpoint.postgres.aio").AsyncPostgresSaver
        opening = saver.from_conn_string(self.address.uri())
        checkpointer = await self.stack.enter_async_context(opening)
        await checkpointer.setup()
        self.graph = build_for_loop(checkpointer)

    async def end(self) -> None:
        await self.stack.aclose()

    async def start(self, name: str, texts: Sequence[str] = ()) -> Any:
        return await start_of(self.graph, name, texts)

    async def append(self, thread: Any, text: str) -> None:
        await append_to(self.graph, thread, text)

    async def last(self, thread: Any, count: int) -> Sequence[object]:
        return await last_of(self.graph, thread, count)
