"""The history of delta channels: the checks that LangGraph has, but has not released yet."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, DeltaChannelHistory
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from tests.frameworks.certificates import certify
from treadle import open_store
from treadle.integrations.langgraph import TreadleSaver

CHECKS: list[Callable[["Chain"], Any]] = []


class Chain:
    """A thread in which each checkpoint is the parent of the next one."""

    def __init__(self, saver: TreadleSaver) -> None:
        self.saver = saver
        self.thread_id = str(uuid4())
        self.head: RunnableConfig | None = None
        self.steps = 0

    async def add(
        self,
        values: Mapping[str, object] | None = None,
        counters_since_delta_snapshot: Mapping[str, tuple[int, int]] | None = None,
        **writes: object,
    ) -> RunnableConfig:
        """Add a checkpoint with values of channels, and a task that writes to channels."""
        self.steps += 1
        parent = self.head or {"configurable": {"thread_id": self.thread_id, "checkpoint_ns": ""}}
        versions: dict[str, Any] = dict.fromkeys(values or (), self.steps)
        checkpoint = Checkpoint(
            v=1,
            id=str(uuid6(clock_seq=-1)),
            ts="",
            channel_values=dict(values or {}),
            channel_versions=versions,
            versions_seen={},
            updated_channels=None,
        )
        metadata: Any = {"source": "loop", "step": self.steps}
        if counters_since_delta_snapshot is not None:
            metadata["counters_since_delta_snapshot"] = counters_since_delta_snapshot
        self.head = await self.saver.aput(parent, checkpoint, metadata, versions)
        if writes:
            await self.saver.aput_writes(self.head, list(writes.items()), str(uuid4()))
        return self.head

    async def history(self, *channels: str) -> Mapping[str, DeltaChannelHistory]:
        """Return the histories of channels at the newest checkpoint."""
        assert self.head is not None
        return await self.saver.aget_delta_channel_history(config=self.head, channels=channels)


def check(function: Callable[[Chain], Any]) -> Callable[[Chain], Any]:
    CHECKS.append(function)
    return function


def written(history: DeltaChannelHistory) -> list[object]:
    return [value for _, _, value in history["writes"]]


@check
async def writes_are_returned_oldest_first(chain: Chain) -> None:
    await chain.add({"ch": _DeltaSnapshot(0)})
    for step in range(1, 5):
        await chain.add(ch=step)
    assert written((await chain.history("ch"))["ch"]) == [1, 2, 3]


@check
async def the_seed_is_the_nearest_snapshot(chain: Chain) -> None:
    await chain.add({"ch": _DeltaSnapshot("far")})
    await chain.add(ch=1)
    await chain.add({"ch": _DeltaSnapshot("near")})
    await chain.add(ch=2)
    await chain.add(ch=3)
    found = (await chain.history("ch"))["ch"]
    assert found["seed"].value == "near"
    assert written(found) == [2]


@check
async def writes_of_the_target_are_left_out(chain: Chain) -> None:
    await chain.add({"ch": _DeltaSnapshot(0)})
    await chain.add(ch=1)
    await chain.add(ch="pending")
    assert written((await chain.history("ch"))["ch"]) == [1]


@check
async def channels_end_at_their_own_seeds(chain: Chain) -> None:
    await chain.add(a=0, b=0)
    await chain.add({"a": _DeltaSnapshot("seed of a")}, a=1, b=1)
    await chain.add(a=2, b=2)
    await chain.add({"b": _DeltaSnapshot("seed of b")}, a=3, b=3)
    await chain.add()
    found = await chain.history("a", "b")
    assert (found["a"]["seed"].value, written(found["a"])) == ("seed of a", [1, 2, 3])
    assert (found["b"]["seed"].value, written(found["b"])) == ("seed of b", [3])


@check
async def no_channels_have_no_histories(chain: Chain) -> None:
    await chain.add({"ch": _DeltaSnapshot(0)})
    assert await chain.history() == {}


@check
async def there_is_no_seed_if_no_ancestor_has_a_value(chain: Chain) -> None:
    for step in range(4):
        await chain.add(ch=step)
    found = (await chain.history("ch"))["ch"]
    assert "seed" not in found
    assert written(found) == [0, 1, 2]


@check
async def a_plain_value_is_a_seed(chain: Chain) -> None:
    await chain.add(ch=0)
    await chain.add({"ch": [10, 20, 30, 40]})
    await chain.add(ch=2)
    await chain.add(ch=3)
    found = (await chain.history("ch"))["ch"]
    assert (found["seed"], written(found)) == ([10, 20, 30, 40], [2])


@check
async def writes_at_the_seed_come_after_it(chain: Chain) -> None:
    await chain.add({"ch": [10]}, ch="older than the seed")
    await chain.add({"ch": [10, 20]}, ch="at the seed")
    await chain.add(ch="after the seed")
    await chain.add(ch="pending")
    found = (await chain.history("ch"))["ch"]
    assert (found["seed"], written(found)) == ([10, 20], ["at the seed", "after the seed"])


@pytest.mark.parametrize("kind", ["memory", "files", "sqlite", "postgres"])
async def test_the_saver_passes_the_unreleased_checks(
    kind: str, new_url: Callable[[str], str]
) -> None:
    async with open_store(new_url(kind), migrate=True) as store:
        saver = TreadleSaver(store)
        for each in CHECKS:
            await each(Chain(saver))
    assert len(CHECKS) == 8
    certify(
        "LangGraph checkpointer",
        ["langgraph-checkpoint"],
        "delta channel history, ours from LangGraph's unreleased checks",
        kind,
        passed=8,
        total=8,
    )
