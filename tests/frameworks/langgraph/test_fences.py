"""A writer that has lost its claim, or its thread, is refused."""

from uuid import uuid4

import pytest

from tests.frameworks.langgraph.graphs import compile_graph, put, thread
from tests.marks import every_backend
from treadle import ClaimConflict, Store, blocking, open_store, system_clock
from treadle.integrations.langgraph import StaleWriteOwner, TreadleSaver


@every_backend
async def test_of_two_workers_on_a_thread_the_stale_one_is_refused(store_url: str) -> None:
    async with open_store(store_url, migrate=True) as store:
        await store.mailboxes.send("t", "a question")
        [first] = await store.mailboxes.claim(consumer="first", lease_ms=60_000)
        stale = compile_graph(TreadleSaver(store, hold=first))
        later = system_clock() + 120_000
        [second] = await store.mailboxes.claim(consumer="second", lease_ms=60_000, now=later)
        current = compile_graph(TreadleSaver(store, hold=second))
        await current.ainvoke({"said": ["a question"]}, thread())
        with pytest.raises(ClaimConflict):
            await stale.ainvoke({"said": ["a question"]}, thread())
        state = await current.aget_state(thread())
        assert state.values == {"said": ["a question", "answer 1"]}


async def test_deleting_needs_the_claim_too(store: Store) -> None:
    await store.mailboxes.send("t", 1)
    [entry] = await store.mailboxes.claim(consumer="w", lease_ms=60_000)
    saver = TreadleSaver(store, hold=entry)
    config = await put(saver, thread(), {"a": 1})
    await store.mailboxes.ack(entry)
    for refused in (
        saver.adelete_thread("t"),
        saver.aprune(["t"]),
        saver.acopy_thread("t", "u"),
        saver.aput_writes(config, [("a", 2)], "task"),
        saver.aclaim_write_ownership("t"),
    ):
        with pytest.raises(ClaimConflict):
            await refused
    assert await TreadleSaver(store).aget_tuple(config) is not None


async def test_a_stale_worker_takes_no_thread_from_its_owner(store: Store) -> None:
    await store.mailboxes.send("t", 1)
    [entry] = await store.mailboxes.claim(consumer="w", lease_ms=60_000)
    stale = TreadleSaver(store, hold=entry)
    await store.mailboxes.ack(entry)
    owner = await TreadleSaver(store).aclaim_write_ownership("t")
    with pytest.raises(ClaimConflict):
        await stale.aclaim_write_ownership("t")
    await put(owner, thread(), {"a": 1})


# --- write ownership: the clauses that LangGraph discusses ----------------------------------------


async def test_the_newest_owner_of_a_thread_writes(store: Store) -> None:
    saver, task = TreadleSaver(store), str(uuid4())
    former = await saver.aclaim_write_ownership("t")
    first = await put(former, thread(), {})
    owner = await saver.aclaim_write_ownership("t")
    second = await put(owner, first, {})

    for _ in range(2):  # not only the first time
        with pytest.raises(StaleWriteOwner) as refusal:
            await put(former, first, {})
        assert refusal.value.is_stale_write_owner_error
    assert [found.config async for found in saver.alist(thread())] == [second, first]

    await owner.aput_writes(second, [("ch", "current"), ("__resume__", "current")], task)
    for writes, task_id in (
        ([("ch", "stale")], task),
        ([("__resume__", "stale")], task),
        ([("ch", "stale")], str(uuid4())),
    ):
        with pytest.raises(StaleWriteOwner):
            await former.aput_writes(second, writes, task_id)
    found = await saver.aget_tuple(second)
    assert found is not None
    assert [value for _, _, value in found.pending_writes or ()] == ["current", "current"]
    # The same writes again are no conflict.
    await owner.aput_writes(second, [("ch", "current"), ("__resume__", "current")], task)


async def test_ownership_is_of_one_thread(store: Store) -> None:
    saver = TreadleSaver(store)
    owner = await saver.aclaim_write_ownership("t")
    await saver.aclaim_write_ownership("another")
    await put(owner, thread(), {})
    await put(owner, thread("another"), {})


async def test_who_claims_nothing_is_not_refused(store: Store) -> None:
    saver = TreadleSaver(store)
    owner = await saver.aclaim_write_ownership("t")
    config = await put(saver, thread(), {})
    await put(owner, config, {})
    assert len([found async for found in saver.alist(thread())]) == 2


async def test_deleting_a_thread_ends_its_ownership(store: Store) -> None:
    owner = await TreadleSaver(store).aclaim_write_ownership("t")
    await owner.adelete_thread("t")
    with pytest.raises(StaleWriteOwner, match="or deleted"):
        await put(owner, thread(), {})


def test_ownership_without_await() -> None:
    with blocking.open_store("memory:") as store:
        saver = TreadleSaver(store)
        former = saver.claim_write_ownership("t")
        owner = saver.claim_write_ownership(thread_id="t")
        compile_graph(owner).invoke({"said": ["a question"]}, thread())
        with pytest.raises(StaleWriteOwner):
            compile_graph(former).invoke({"said": ["a question"]}, thread())
