"""LangGraph's checkpointers, and ours, under a graph that answers each message with another."""

from abc import abstractmethod
from contextlib import AsyncExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.peers.base import Subject, sqlite_durability
from benchmarks.peers.postgres.base import PostgresSubject
from benchmarks.stores import durability_of, url_in
from benchmarks.texts import text
from treadle import open_store

LENGTH = 500
"""Characters in a message."""


class Turns(Subject):
    """A turn is one invocation of the graph, with its default durability."""

    distribution = "langgraph"

    async def begin(self) -> None:
        """Open the checkpointer, and compile the graph."""
        self.stack = AsyncExitStack()
        self.kit: Any = import_module("langchain_core.messages")
        self.graph = _build(self.kit, await self.saver())

    async def end(self) -> None:
        """Close the checkpointer."""
        await self.stack.aclose()

    @abstractmethod
    async def saver(self) -> Any:
        """Return the open checkpointer."""

    async def turn(self, thread: str, number: int) -> None:
        """Ask a question, and get an answer."""
        message = self.kit.HumanMessage(content=text(number)[:LENGTH])
        await self.graph.ainvoke({"messages": [message]}, {"configurable": {"thread_id": thread}})


class _InFolder(Turns):
    """A checkpointer whose data is in the folder."""

    async def open(self) -> None:
        await self.begin()

    async def close(self) -> None:
        await self.end()


class OnTreadle(_InFolder):
    """Our checkpointer."""

    name = "treadle"
    uses_store = True

    async def saver(self) -> Any:
        store = await self.stack.enter_async_context(open_store(url_in(self.store, self.folder)))
        return import_module("treadle.integrations.langgraph").TreadleSaver(store)

    def durability(self) -> str:
        return durability_of(self.store)


class OnSqlite(_InFolder):
    """LangGraph's checkpointer for asyncio."""

    name = "LangGraph AsyncSqliteSaver"
    distribution = "langgraph-checkpoint-sqlite"
    database: Path

    async def saver(self) -> Any:
        self.database = self.folder / "checkpoints.db"
        kind = import_module("langgraph.checkpoint.sqlite.aio").AsyncSqliteSaver
        return await _set_up(self.stack, kind, str(self.database))

    def durability(self) -> str:
        return sqlite_durability(self.database)


class TreadleOnPostgres(Turns, PostgresSubject):
    """Our checkpointer."""

    name = "treadle (postgresql)"

    async def saver(self) -> Any:
        store = open_store(self.address.uri(), migrate=True)
        await self.stack.enter_async_context(store)
        return import_module("treadle.integrations.langgraph").TreadleSaver(store)


class OnPostgres(Turns, PostgresSubject):
    """LangGraph's checkpointer for asyncio."""

    name = "LangGraph AsyncPostgresSaver"
    distribution = "langgraph-checkpoint-postgres"

    async def saver(self) -> Any:
        kind = import_module("langgraph.checkpoint.postgres.aio").AsyncPostgresSaver
        return await _set_up(self.stack, kind, self.address.uri())


async def _set_up(stack: AsyncExitStack, kind: Any, where: str) -> Any:
    saver = await stack.enter_async_context(kind.from_conn_string(where))
    await saver.setup()
    return saver


def _build(messages: Any, checkpointer: Any) -> Any:
    kit = import_module("langgraph.graph")

    async def answer(state: Any) -> Any:
        return {"messages": [messages.AIMessage(content=text(len(state["messages"]))[:LENGTH])]}

    graph = kit.StateGraph(kit.MessagesState)
    graph.add_node("answer", answer)
    graph.add_edge(kit.START, "answer")
    return graph.compile(checkpointer=checkpointer)
