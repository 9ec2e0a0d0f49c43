"""Graphs and checkpoints for the tests."""

import operator
from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, Checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.graph import START, StateGraph


class State(TypedDict):
    """What a graph remembers."""

    said: Annotated[list[str], operator.add]


def answer(state: State) -> dict[str, list[str]]:
    """Say one thing more."""
    return {"said": [f"answer {len(state['said'])}"]}


def compile_graph(saver: BaseCheckpointSaver[str]) -> Any:
    """Return a graph of one node."""
    builder = StateGraph(State)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    return builder.compile(checkpointer=saver)


def thread(thread_id: object = "t", **more: object) -> RunnableConfig:
    """Return the configuration that names a thread."""
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": "", **more}}


async def put(
    saver: BaseCheckpointSaver[str],
    config: RunnableConfig,
    values: Mapping[str, Any],
    versions: Mapping[str, Any] | None = None,
    **metadata: Any,
) -> RunnableConfig:
    """Store a checkpoint behind `config`.

    Args:
        saver: the saver.
        config: the thread and the parent.
        values: the values of all channels.
        versions: the versions of all channels; without them, all are new.
        metadata: more metadata.
    """
    id = str(uuid6(clock_seq=-1))
    before = await saver.aget_tuple(config) if "checkpoint_id" in config["configurable"] else None
    known = before.checkpoint["channel_versions"] if before is not None else {}
    versions = dict(versions or dict.fromkeys(values, id))
    checkpoint = Checkpoint(
        v=1,
        id=id,
        ts="",
        channel_values=dict(values),
        channel_versions=versions,
        versions_seen={},
        updated_channels=None,
    )
    new = {
        channel: version for channel, version in versions.items() if known.get(channel) != version
    }
    details: Any = {"source": "loop", "step": 0, **metadata}
    return await saver.aput(config, checkpoint, details, new)


async def values_of(saver: BaseCheckpointSaver[str], config: RunnableConfig) -> dict[str, Any]:
    """Return the values of a checkpoint that exists."""
    found = await saver.aget_tuple(config)
    assert found is not None
    return found.checkpoint["channel_values"]
