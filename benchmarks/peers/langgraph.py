"""LangGraph: `SqliteSaver` and `AsyncSqliteSaver` under a real graph of one node.

An append is one invocation of the graph with one message, as an agent's turn is. The defaults are
kept: `durability="async"`, in which `invoke` returns when its checkpoints are written.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.peers.base import BlockingThreadSubject, ThreadSubject, sqlite_durability


class _Graph(ThreadSubject):
    distribution = "langgraph-checkpoint-sqlite"
    slow = True
    fills_quickly = False  # a checkpoint holds the whole thread
    graph: Any
    stack: AsyncExitStack
    database: Path

    async def close(self) -> None:
        await self.stack.aclose()

    def durability(self) -> str:
        return sqlite_durability(self.database)


class SaverGraph(_Graph, BlockingThreadSubject):
    """The blocking saver."""

    name = "LangGraph SqliteSaver"

    async def open(self) -> None:
        self.stack = AsyncExitStack()
        self.database = self.folder / "checkpoints.db"
        saver = import_module("langgraph.checkpoint.sqlite").SqliteSaver
        checkpointer = self.stack.enter_context(saver.from_conn_string(str(self.database)))
        checkpointer.setup()
        self.graph = _build(_reply, checkpointer)

    async def start(self, name: str, texts: Sequence[str] = ()) -> Any:
        config = _config(name)
        if texts:
            self.graph.update_state(config, _says(*texts), as_node="model")
        return config

    def append_now(self, thread: Any, text: str) -> None:
        self.graph.invoke(_says(text), thread)

    async def last(self, thread: Any, count: int) -> Sequence[object]:
        # it cannot read only a part
        messages: list[object] = self.graph.get_state(thread).values["messages"]
        return messages[-count:]


class AsyncSaverGraph(_Graph):
    """The saver for asyncio."""

    name = "LangGraph AsyncSqliteSaver"

    async def open(self) -> None:
        self.stack = AsyncExitStack()
        self.database = self.folder / "checkpoints.db"
        saver = import_module("langgraph.checkpoint.sqlite.aio").AsyncSqliteSaver
        opening = saver.from_conn_string(str(self.database))
        checkpointer = await self.stack.enter_async_context(opening)
        await checkpointer.setup()
        self.graph = build_for_loop(checkpointer)

    async def start(self, name: str, texts: Sequence[str] = ()) -> Any:
        return await start_of(self.graph, name, texts)

    async def append(self, thread: Any, text: str) -> None:
        await append_to(self.graph, thread, text)

    async def last(self, thread: Any, count: int) -> Sequence[object]:
        return await last_of(self.graph, thread, count)


def build_for_loop(checkpointer: Any) -> Any:
    """Return the graph, for an event loop."""
    return _build(_reply_async, checkpointer)


async def start_of(graph: Any, name: str, texts: Sequence[str]) -> Any:
    """Create a thread of a graph, with messages."""
    config = _config(name)
    if texts:
        await graph.aupdate_state(config, _says(*texts), as_node="model")
    return config


async def append_to(graph: Any, thread: Any, text: str) -> None:
    """Run one turn of the agent."""
    await graph.ainvoke(_says(text), thread)


async def last_of(graph: Any, thread: Any, count: int) -> Sequence[object]:
    """Return the last messages of a thread."""
    messages: list[object] = (await graph.aget_state(thread)).values["messages"]
    return messages[-count:]


def _build(node: Any, checkpointer: Any) -> Any:
    kit = import_module("langgraph.graph")
    graph = kit.StateGraph(kit.MessagesState)
    graph.add_node("model", node)
    graph.add_edge(kit.START, "model")
    graph.add_edge("model", kit.END)
    return graph.compile(checkpointer=checkpointer)


def _reply(state: Any) -> None:
    """Answer nothing: only the saver is measured."""


async def _reply_async(state: Any) -> None:
    """Answer nothing: only the saver is measured."""


def _config(thread: str) -> dict[str, dict[str, str]]:
    return {"configurable": {"thread_id": thread}}


def _says(*texts: str) -> dict[str, list[Any]]:
    make = import_module("langchain_core.messages").HumanMessage
    return {"messages": [make(content=text) for text in texts]}
