"""Others read, write and delete at the same time; no state has holes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from langgraph.checkpoint.base import CheckpointTuple

from tests.frameworks.langgraph.graphs import put, thread, values_of
from treadle import CorruptRecord, Store, VersionConflict
from treadle.integrations.langgraph import TreadleSaver

Action = Callable[[], Awaitable[object]]
LONG = [f"word {number}" for number in range(10)]


def after_reads(store: Store, count: int, action: Action) -> None:
    """Do something once, after a number of reads of several documents."""
    read: Any = store.read
    left = count

    async def read_and_act(*queries: Any) -> Any:
        nonlocal left
        answer = await read(*queries)
        left -= 1
        if left == 0:
            await action()
        return answer

    store.read = read_and_act  # type: ignore[method-assign]


async def three(saver: TreadleSaver) -> list[Any]:
    """Return the configurations of three checkpoints, each the parent of the next."""
    first = await put(saver, thread(), {"a": LONG[:4], "b": 1})
    second = await put(saver, first, {"a": LONG[:8], "b": 2})
    return [first, second, await put(saver, second, {"a": LONG, "b": 3})]


@pytest.mark.parametrize("reads", [1, 2])
async def test_a_checkpoint_that_is_pruned_while_it_is_read_is_read_whole_or_not_at_all(
    store: Store, reads: int
) -> None:
    first, _, last = await three(TreadleSaver(store))
    after_reads(store, reads, lambda: TreadleSaver(store).aprune(["t"]))
    found = await TreadleSaver(store).aget_tuple(first)
    assert found is None or found.checkpoint["channel_values"] == {"a": LONG[:4], "b": 1}
    assert await TreadleSaver(store).aget_tuple(first) is None
    assert await values_of(TreadleSaver(store), last) == {"a": LONG, "b": 3}


async def test_the_newest_checkpoint_is_read_again_if_it_was_deleted(store: Store) -> None:
    await three(TreadleSaver(store))

    async def delete_and_begin_again() -> None:
        other = TreadleSaver(store)
        await other.adelete_thread("t")
        await put(other, thread(), {"a": ["new"] * 5, "b": 4})

    after_reads(store, 1, delete_and_begin_again)
    assert await values_of(TreadleSaver(store), thread()) == {"a": ["new"] * 5, "b": 4}


@pytest.mark.parametrize("reads", [1, 2])
async def test_a_listing_leaves_out_what_is_pruned_meanwhile(store: Store, reads: int) -> None:
    await three(TreadleSaver(store))
    after_reads(store, reads, lambda: TreadleSaver(store).aprune(["t"]))
    found = [each async for each in TreadleSaver(store).alist(thread())]
    states = [each.checkpoint["channel_values"] for each in found]
    whole = [{"a": LONG, "b": 3}, {"a": LONG[:8], "b": 2}, {"a": LONG[:4], "b": 1}]
    assert states in (whole, whole[:1])


async def test_a_value_that_is_lost_raises(store: Store) -> None:
    config = await put(TreadleSaver(store), thread(), {"a": LONG, "b": 1})
    await store.documents.delete_range("langgraph.t", prefix=("", "x"))
    with pytest.raises(CorruptRecord, match="the value of channel 'a' is missing"):
        await TreadleSaver(store).aget_tuple(config)
    with pytest.raises(CorruptRecord, match="the value of channel 'a' is missing"):
        await anext(TreadleSaver(store).alist(thread()))


async def test_a_damaged_checkpoint_hurts_no_other(store: Store) -> None:
    saver = TreadleSaver(store)
    first, second, _ = await three(saver)
    key = ("", "c", "", second["configurable"]["checkpoint_id"])
    await store.documents.put("langgraph.t", key, {"ns": 7})
    with pytest.raises(CorruptRecord, match="ns"):
        await saver.aget_tuple(second)
    assert await values_of(saver, first) == {"a": LONG[:4], "b": 1}


async def test_a_document_of_another_program_is_not_taken_for_a_write(store: Store) -> None:
    saver = TreadleSaver(store)
    _, second, last = await three(saver)
    key = ("", "c", "", last["configurable"]["checkpoint_id"])
    for further in (("note",), ("task", "first")):
        await store.documents.put("langgraph.t", (*key, *further), {"a": 1})
        with pytest.raises(CorruptRecord, match="no write of a task has such a key"):
            await saver.aget_tuple(thread())
        await store.documents.delete("langgraph.t", (*key, *further))
    assert await values_of(saver, second) == {"a": LONG[:8], "b": 2}
    assert await values_of(saver, thread()) == {"a": LONG, "b": 3}


# --- writers beside who deletes -------------------------------------------------------------------


async def go_on(saver: TreadleSaver, before: CheckpointTuple, values: dict[str, Any]) -> Any:
    """Put the next checkpoint of a run that has read `before`: only "b" has changed."""
    versions = {**before.checkpoint["channel_versions"], "b": "9"}
    checkpoint = {
        **before.checkpoint,
        "id": "f" * 36,
        "channel_values": values,
        "channel_versions": versions,
    }
    metadata: Any = {"source": "loop", "step": 3}
    return await saver.aput(before.config, checkpoint, metadata, {"b": "9"})  # type: ignore[arg-type]


@pytest.mark.parametrize("deletion", ["prune", "delete"])
async def test_a_run_goes_on_from_a_checkpoint_that_was_deleted_since(
    store: Store, deletion: str
) -> None:
    first, _, _ = await three(TreadleSaver(store))
    saver = TreadleSaver(store)
    before = await saver.aget_tuple(first)
    assert before is not None
    other = TreadleSaver(store)
    await (other.aprune(["t"]) if deletion == "prune" else other.adelete_thread("t"))
    config = await go_on(saver, before, {"a": LONG[:4], "b": 9})
    for reader in (saver, other, TreadleSaver(store)):
        assert await values_of(reader, config) == {"a": LONG[:4], "b": 9}


@pytest.mark.parametrize("reads", [1, 2, 3, 4, 5])
async def test_a_run_goes_on_while_its_checkpoint_is_pruned(store: Store, reads: int) -> None:
    first, _, last = await three(TreadleSaver(store))
    saver = TreadleSaver(store)
    before = await saver.aget_tuple(first)
    assert before is not None
    found: list[Any] = []

    async def put_next() -> None:
        found.append(await go_on(saver, before, {"a": LONG[:4], "b": 9}))

    listing: Any = store.documents.list
    left = reads

    async def list_and_act(*args: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            await put_next()
        return await listing(*args, **options)

    store.documents.list = list_and_act  # type: ignore[method-assign]
    await TreadleSaver(store).aprune(["t"])
    assert left < 0, "the run went on while the thread was pruned"
    # Its checkpoint is the newest one now.
    assert await values_of(TreadleSaver(store), found[0]) == {"a": LONG[:4], "b": 9}
    assert [each.config async for each in saver.alist(thread())] == found
    assert await saver.aget_tuple(last) is None


async def test_who_reads_while_others_delete_relies_on_nothing(store: Store) -> None:
    _, second, _ = await three(TreadleSaver(store))
    saver = TreadleSaver(store)
    listing: Any = store.documents.list
    found: list[Any] = []

    async def list_and_act(*args: Any, **options: Any) -> Any:
        if not found:
            found.append(await saver.aget_tuple(second))
        return await listing(*args, **options)

    store.documents.list = list_and_act  # type: ignore[method-assign]
    await TreadleSaver(store).aprune(["t"])
    config = await go_on(saver, found[0], {"a": LONG[:8], "b": 9})
    assert await values_of(TreadleSaver(store), config) == {"a": LONG[:8], "b": 9}


async def test_a_prune_gives_up_on_a_thread_that_is_written_all_the_time(store: Store) -> None:
    await three(TreadleSaver(store))
    listing: Any = store.documents.list

    async def list_and_act(*args: Any, **options: Any) -> Any:
        await put(TreadleSaver(store), thread(), {"b": 1})
        return await listing(*args, **options)

    store.documents.list = list_and_act  # type: ignore[method-assign]
    with pytest.raises(VersionConflict):
        await TreadleSaver(store).aprune(["t"])


async def test_two_processes_begin_a_thread(store: Store) -> None:
    load: Any = store.documents.load
    others = [TreadleSaver(store)]

    async def load_and_act(*args: Any, **options: Any) -> Any:
        found = await load(*args, **options)
        if others:
            await put(others.pop(), thread(), {"a": LONG[:5]})
        return found

    store.documents.load = load_and_act  # type: ignore[method-assign]
    config = await put(TreadleSaver(store), thread(), {"a": LONG})
    assert await values_of(TreadleSaver(store), config) == {"a": LONG}
    assert len([each async for each in TreadleSaver(store).alist(thread())]) == 2


# --- copying beside who deletes -------------------------------------------------------------------


async def test_a_copy_of_a_thread_that_is_being_pruned_has_no_holes(store: Store) -> None:
    """The values are deleted after the copy has read the checkpoints, before it reads them."""
    saver = TreadleSaver(store)
    config = thread()
    for number in range(4):
        config = await put(saver, config, {"a": f"long {number} " * 100})
    has_begun, has_read, has_copied = asyncio.Event(), asyncio.Event(), asyncio.Event()
    commit: Any = store.commit
    list_documents: Any = store.documents.list
    pruning = asyncio.create_task(TreadleSaver(store).aprune(["t"]))
    batches = 0

    async def commit_later(batch: Any) -> Any:
        nonlocal batches
        if asyncio.current_task() is pruning:
            batches += 1
            if batches > 1:  # the first one says that somebody deletes
                has_begun.set()
                await (has_read if batches == 2 else has_copied).wait()
        return await commit(batch)

    async def list_and_wait(collection: str, **options: Any) -> Any:
        if asyncio.current_task() is copying and options["prefix"] == ("", "b"):
            has_read.set()
            for _ in range(100):
                await asyncio.sleep(0)
        return await list_documents(collection, **options)

    store.commit = commit_later  # type: ignore[method-assign, assignment]
    await has_begun.wait()
    store.documents.list = list_and_wait  # type: ignore[method-assign]
    copying = asyncio.create_task(TreadleSaver(store).acopy_thread("t", "copy"))
    await copying
    has_copied.set()
    await pruning
    for copied in ("t", "copy"):
        found = [each async for each in TreadleSaver(store).alist(thread(copied))]
        assert found[0].checkpoint["channel_values"] == {"a": "long 3 " * 100}
