"""What a turn costs: how often it reads and commits, and how many documents it writes."""

from collections import Counter
from typing import Any

import pytest

from tests.frameworks.langgraph.graphs import compile_graph, put, thread, values_of
from tests.marks import every_backend
from treadle import Store, open_store
from treadle.integrations.langgraph import TreadleSaver
from treadle.integrations.langgraph._known import Known, KnownThreads
from treadle.integrations.langgraph._layout import Sealed, Value

LONG = "long " * 100


@pytest.fixture
def counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts the reads of the store, its commits, and their commands by their names."""
    counts: Counter[str] = Counter()
    backend: Any = store._backend  # pyright: ignore[reportPrivateUsage]
    commit, read = backend.commit, backend.read

    async def count_commit(batch: Any) -> Any:
        counts["commits"] += 1
        counts.update(type(command).__name__ for command in batch)
        return await commit(batch)

    async def count_read(query: Any) -> Any:
        counts["reads"] += 1
        return await read(query)

    monkeypatch.setattr(backend, "commit", count_commit)
    monkeypatch.setattr(backend, "read", count_read)
    return counts


async def test_the_first_turn_reads_once(store: Store, counted: Counter[str]) -> None:
    await compile_graph(TreadleSaver(store)).ainvoke({"said": [LONG]}, thread())
    assert counted["reads"] == 1


async def test_a_turn_is_a_read_and_five_commits(store: Store, counted: Counter[str]) -> None:
    graph = compile_graph(TreadleSaver(store))
    for _ in range(3):
        await graph.ainvoke({"said": [LONG]}, thread())
    counted.clear()
    await graph.ainvoke({"said": [LONG]}, thread())
    assert counted == {
        "reads": 1,
        "commits": 5,
        "CheckDocument": 3,  # the root of the thread
        "PutDocument": 3,  # the checkpoints, the first one with the input
        "EnsureDocument": 3,  # the writes of the input, two, and of the node
        "CreateDocument": 2,  # the question and the answer
    }


async def test_the_input_of_a_graph_is_read_with_its_checkpoint(store: Store) -> None:
    graph = compile_graph(TreadleSaver(store))
    await graph.ainvoke({"said": [LONG]}, thread())
    *_, first = [each async for each in TreadleSaver(store).alist(thread())]
    assert first.metadata["source"] == "input"
    assert first.checkpoint["channel_values"]["__start__"] == {"said": [LONG]}


@every_backend
async def test_a_checkpoint_is_found_behind_many_writes(store_url: str) -> None:
    async with open_store(store_url, migrate=True) as store:
        saver = TreadleSaver(store)
        await put(saver, thread(), {"a": 0})
        config = await put(saver, thread(), {"a": 1})
        for task in range(10):
            await saver.aput_writes(config, [("a", number) for number in range(25)], f"task {task}")
        found = await TreadleSaver(store).aget_tuple(thread())
        assert found is not None
        assert found.checkpoint["channel_values"] == {"a": 1}
        assert len(found.pending_writes or ()) == 250


@every_backend
async def test_two_may_begin_a_thread_that_neither_has_found(store_url: str) -> None:
    async with open_store(store_url, migrate=True) as store:
        savers = TreadleSaver(store), TreadleSaver(store)
        for saver in savers:
            assert await saver.aget_tuple(thread()) is None
        configs = [await put(saver, thread(), {"a": LONG}) for saver in savers]
        for config in configs:
            assert await values_of(TreadleSaver(store), config) == {"a": LONG}


@every_backend
async def test_a_thread_that_was_deleted_begins_again(store_url: str) -> None:
    async with open_store(store_url, migrate=True) as store:
        saver, other = TreadleSaver(store), TreadleSaver(store)
        await put(saver, thread(), {"a": LONG})
        await other.adelete_thread("t")
        assert await saver.aget_tuple(thread()) is None
        config = await put(saver, thread(), {"a": LONG})
        assert await values_of(other, config) == {"a": LONG}


async def test_what_is_remembered_of_a_thread_does_not_grow_with_its_runs(store: Store) -> None:
    saver = TreadleSaver(store)
    config = thread()
    for number in range(20):
        config = await put(saver, config, {"a": number}, run_id=f"run-{number}")
    known = saver._known.get("langgraph.t", "")  # pyright: ignore[reportPrivateUsage]
    assert known is not None
    assert known.runs == {"run-19"}
    await saver.adelete_for_runs([f"run-{number}" for number in range(20)])
    assert [each async for each in saver.alist(thread())] == []


def test_the_cache_of_threads_counts_small_values_too() -> None:
    """The input of a graph, which may be large, is one of them."""
    cache = KnownThreads()
    large = Value(Sealed("json", "x" * 2**20))
    for number in range(100):
        known = Known(1, {}, {"__start__": large}, {}, frozenset())
        cache.put(f"langgraph.{number}", "", known)
    kept = [number for number in range(100) if cache.get(f"langgraph.{number}", "") is not None]
    assert kept == [*range(100 - len(kept), 100)]
    assert len(kept) <= 64
