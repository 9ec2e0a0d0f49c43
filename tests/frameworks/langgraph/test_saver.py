"""The saver: ids, both kinds of calls, copies, deletions and delta channels."""

import asyncio
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from tests.frameworks.langgraph.graphs import compile_graph, put, thread, values_of
from tests.frameworks.langgraph.test_delta_channels import Chain, written
from tests.marks import every_backend
from treadle import CorruptRecord, InvalidValue, Store, blocking, open_store
from treadle.integrations.langgraph import TreadleSaver

LONG = [f"word {number}" for number in range(10)]
QUESTION = {"said": ["a question"]}


# --- ids ------------------------------------------------------------------------------------------

IDS = ["t", "T:1", "", ".", "a..b", "a/b", "%2F", "!", "日本", "\x00\x1f", "x" * 5_000, "con", 7]


@every_backend
async def test_any_text_names_a_thread(store_url: str) -> None:
    async with open_store(store_url, migrate=True) as store:
        saver = TreadleSaver(store)
        for number, id in enumerate(IDS):
            await put(saver, thread(id), {"a": number})
        for number, id in enumerate(IDS):
            assert await values_of(saver, thread(id)) == {"a": number}
        found = {each.config["configurable"]["thread_id"] async for each in saver.alist(None)}
        assert found == set(map(str, IDS))


@every_backend
async def test_any_text_names_a_namespace_a_channel_a_task_and_a_run(store_url: str) -> None:
    async with open_store(store_url, migrate=True) as store:
        saver = TreadleSaver(store)
        for text in map(str, IDS):
            config = thread(checkpoint_ns=text)
            run_id = text.replace("\0", "")  # LangGraph leaves it out of all metadata
            first = await put(saver, config, {text: LONG[:4]}, run_id=run_id)
            second = await put(saver, first, {text: LONG})
            await saver.aput_writes(second, [(text, text)], text, text)
            found = await saver.aget_tuple(config)
            assert found is not None
            assert found.config == second
            assert found.parent_config == first
            assert found.checkpoint["channel_values"] == {text: LONG}
            assert found.pending_writes == [(text, text, text)]
            await saver.adelete_for_runs([run_id])
            assert await saver.aget_tuple(first) is None
            assert await values_of(saver, second) == {text: LONG}


async def test_an_id_of_a_checkpoint_must_be_storable(store: Store) -> None:
    with pytest.raises(InvalidValue, match="control character"):
        await TreadleSaver(store).aput_writes(thread(checkpoint_id="a\nb"), [("a", 1)], "task")


@pytest.mark.parametrize(
    ("checkpoint_id", "task_path", "reason"),
    [
        ("x" * 1_100, "", "at most 1024 bytes"),
        ("a", "\ud800", "lone surrogate"),
        (7, "", "Expected `str`"),
    ],
)
async def test_the_store_checks_what_is_no_short_plain_text(
    store: Store, checkpoint_id: Any, task_path: str, reason: str
) -> None:
    with pytest.raises(InvalidValue, match=reason):
        await TreadleSaver(store).aput_writes(
            thread(checkpoint_id=checkpoint_id), [("a", 1)], "task", task_path
        )


async def test_a_parent_that_no_text_can_be_is_refused(store: Store) -> None:
    config = thread(checkpoint_id="\ud800")
    with pytest.raises(InvalidValue, match="lone surrogate"):
        await TreadleSaver(store).aput(
            config, empty_checkpoint(), {"source": "loop", "step": 1, "parents": {}}, {}
        )


async def test_two_savers_with_other_names_are_apart(store: Store) -> None:
    await put(TreadleSaver(store), thread(), {"a": 1})
    other = TreadleSaver(store, collection="other")
    assert await other.aget_tuple(thread()) is None
    assert [each async for each in other.alist(None)] == []


# --- both kinds of calls --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory:", "sqlite"])
def test_a_blocking_store_serves_both_kinds_of_calls(kind: str, tmp_path: Any) -> None:
    url = kind if kind == "memory:" else f"sqlite:///{tmp_path}/a.db"
    with blocking.open_store(url) as store:
        graph = compile_graph(TreadleSaver(store))
        graph.invoke(QUESTION, thread())
        asyncio.run(graph.ainvoke(QUESTION, thread()))
        wanted = ["a question", "answer 1", "a question", "answer 3"]
        assert graph.get_state(thread()).values == {"said": wanted}
        history = list(graph.get_state_history(thread()))
        assert [len(state.values["said"]) for state in history[:-1]] == [4, 3, 2, 2, 1]


def test_all_methods_have_a_form_without_await() -> None:
    with blocking.open_store("memory:") as store:
        saver = TreadleSaver(store)
        graph = compile_graph(saver)
        config = {**thread(), "metadata": {"run_id": "r"}}
        graph.invoke(QUESTION, config)
        saver.copy_thread("t", "u")
        assert graph.get_state(thread("u")).values == {"said": ["a question", "answer 1"]}
        saver.prune(["u"])
        assert len(list(saver.list(thread("u")))) == 1
        assert len(list(saver.list(thread("t"), limit=2))) == 2
        history = saver.get_delta_channel_history(config=thread(), channels=["said"])
        assert written(history["said"]) == [["answer 1"]]
        saver.delete_for_runs(["r"])
        assert list(saver.list(None)) == []
        graph.invoke(QUESTION, thread())
        saver.delete_thread("t")
        assert store.documents.collections().items == ()


async def test_a_thread_beside_the_event_loop_may_wait(store: Store) -> None:
    graph = compile_graph(TreadleSaver(store))
    await graph.ainvoke(QUESTION, thread())
    state = await asyncio.to_thread(graph.get_state, thread())
    assert state.values == {"said": ["a question", "answer 1"]}


async def test_the_thread_of_the_event_loop_must_not_wait(store: Store) -> None:
    with pytest.raises(asyncio.InvalidStateError, match="use the async method, such as `ainvoke`"):
        TreadleSaver(store).get_tuple(thread())


def test_without_an_event_loop_there_is_advice() -> None:
    saver = TreadleSaver(open_store("memory:"))
    with pytest.raises(RuntimeError, match=r"open it with `treadle\.blocking\.open_store`"):
        saver.get_tuple(thread())


async def test_a_saver_that_was_made_without_a_loop_learns_it(store: Store) -> None:
    saver = await asyncio.to_thread(TreadleSaver, store)
    config = await put(saver, thread(), {"a": 1})
    found = await asyncio.to_thread(saver.get_tuple, config)
    assert found is not None


# --- copies and deletions -------------------------------------------------------------------------


@every_backend
async def test_a_copy_and_its_original_go_on_apart(store_url: str) -> None:
    async with open_store(store_url, migrate=True) as store:
        saver = TreadleSaver(store)
        first = await put(saver, thread(), {"a": LONG[:5], "b": 1})
        await saver.aput_writes(first, [("b", 2)], "task")
        await saver.acopy_thread("t", "u")
        copied = thread("u", checkpoint_id=first["configurable"]["checkpoint_id"])
        original = await put(saver, first, {"a": [*LONG[:5], "original"], "b": 1})
        copy = await put(saver, copied, {"a": [*LONG[:5], "copy"], "b": 1})
        assert (await values_of(saver, original))["a"][5:] == ["original"]
        assert (await values_of(TreadleSaver(store), copy))["a"][5:] == ["copy"]
        found = await saver.aget_tuple(copied)
        assert found is not None
        assert found.pending_writes == [("task", "b", 2)]
        await saver.adelete_thread("t")
        assert (await values_of(TreadleSaver(store), copy))["a"][:5] == LONG[:5]


async def test_a_copy_may_be_made_again(store: Store) -> None:
    saver = TreadleSaver(store)
    first = await put(saver, thread(), {"a": LONG[:5]})
    await saver.acopy_thread("t", "u")
    copied = thread("u", checkpoint_id=first["configurable"]["checkpoint_id"])
    own = await put(saver, copied, {"a": [*LONG[:5], "of the copy"]})
    await put(saver, first, {"a": LONG})
    await saver.acopy_thread("t", "u")
    await saver.acopy_thread("u", "u")
    assert (await values_of(TreadleSaver(store), own))["a"][5:] == ["of the copy"]
    assert await values_of(TreadleSaver(store), copied) == {"a": LONG[:5]}
    assert len([each async for each in saver.alist(thread("u"))]) == 3


@every_backend
async def test_a_deleted_thread_leaves_nothing(store_url: str) -> None:
    async with open_store(store_url, migrate=True) as store:
        saver = TreadleSaver(store)
        config = await put(saver, thread(), {"a": LONG}, run_id="r")
        await saver.aput_writes(config, [("a", 2)], "task")
        await put(saver, thread(checkpoint_ns="child"), {"a": 1}, run_id="r")
        await saver.adelete_thread("t")
        assert (await store.documents.collections()).items == ()


async def test_a_run_that_is_deleted_takes_its_values_with_it(store: Store) -> None:
    saver = TreadleSaver(store)
    kept = await put(saver, thread(), {"a": LONG[:5], "b": "kept" * 100}, run_id="kept")
    await put(saver, kept, {"a": [*LONG[:5], "secret"], "b": "secret" * 100}, run_id="gone")
    await put(saver, thread("u"), {"b": "secret"}, run_id="gone")
    await saver.adelete_for_runs(["gone", "never"])
    assert (await store.documents.collections()).items == ("langgraph", "langgraph.t")
    assert await values_of(saver, thread()) == {"a": LONG[:5], "b": "kept" * 100}
    found = (await store.documents.list("langgraph.t")).items
    assert [each.key[1] for each in found if each.value is not None] == ["b", "c", "t", "x"]
    assert await values_of(TreadleSaver(store), kept) == {"a": LONG[:5], "b": "kept" * 100}
    assert [each.key[2] for each in (await store.documents.list("langgraph")).items] == ["kept"]


async def test_a_list_goes_on_after_its_end_was_deleted(store: Store) -> None:
    """A process that remembers the old end does not take it for the new one."""
    saver, other = TreadleSaver(store), TreadleSaver(store)
    kept = await put(saver, thread(), {"a": LONG[:5]}, run_id="kept")
    await put(saver, kept, {"a": [*LONG[:5], "old"]}, run_id="gone")
    await other.adelete_for_runs(["gone"])
    assert await values_of(other, thread()) == {"a": LONG[:5]}
    config = await put(other, kept, {"a": [*LONG[:5], "new"]}, run_id="kept")
    for reader in (saver, other, TreadleSaver(store)):
        assert await values_of(reader, config) == {"a": [*LONG[:5], "new"]}


async def test_a_prune_leaves_only_what_is_needed(store: Store) -> None:
    saver, config = TreadleSaver(store), thread()
    for number in range(30):
        values = {"a": [number] * 5, "b": number, "long": str(number) * 200}
        config = await put(saver, config, values, run_id=str(number))
        await saver.aput_writes(config, [("b", number)], "task")
    await saver.aprune(["t", "never"])
    keys = [each.key for each in (await store.documents.list("langgraph.t", limit=200)).items]
    assert [key[1] for key in keys] == ["b", "c", "c", "r", "t", "x"]
    assert [each.key[2] for each in (await store.documents.list("langgraph")).items] == ["29"]
    found = await saver.aget_tuple(thread())
    assert found is not None
    assert found.checkpoint["channel_values"] == {"a": [29] * 5, "b": 29, "long": "29" * 200}
    assert found.pending_writes == [("task", "b", 29)]
    config = await put(saver, config, {"a": [29] * 6, "b": 30})
    assert await values_of(TreadleSaver(store), config) == {"a": [29] * 6, "b": 30}


async def test_a_prune_of_an_unknown_kind_is_refused(store: Store) -> None:
    with pytest.raises(InvalidValue, match="'keep_latest' or 'delete', not 'all'"):
        await TreadleSaver(store).aprune(["t"], strategy="all")


async def test_writes_may_come_before_their_checkpoint(store: Store) -> None:
    saver = TreadleSaver(store)
    first = await put(saver, thread(), {"a": 1})
    later = thread(checkpoint_id="f" * 36)
    await saver.aput_writes(later, [("a", 2)], "task")
    found = await saver.aget_tuple(thread())
    assert found is not None
    assert (found.config, found.pending_writes) == (first, [])
    await saver.aprune(["t"])
    key = ("", "c", "", "f" * 36, "task", "001000")
    assert await store.documents.load("langgraph.t", key) is not None


# --- delta channels -------------------------------------------------------------------------------


async def chain_of(saver: TreadleSaver, steps: int) -> Chain:
    chain = Chain(saver)
    await chain.add({"ch": _DeltaSnapshot(["seed"])})
    for step in range(steps):
        await chain.add(ch=step)
    return chain


async def test_a_prune_keeps_what_delta_channels_are_rebuilt_from(store: Store) -> None:
    saver = TreadleSaver(store)
    chain = Chain(saver)
    for step in range(8):
        snapshot = {"ch": _DeltaSnapshot(step)} if step in (0, 4) else None
        await chain.add(snapshot, counters_since_delta_snapshot={"ch": (1, 1)}, ch=step)
    before = await chain.history("ch")
    assert (before["ch"]["seed"].value, written(before["ch"])) == (4, [4, 5, 6])
    await saver.aprune([chain.thread_id])
    assert await chain.history("ch") == before
    assert len([each async for each in saver.alist(thread(chain.thread_id))]) == 4


async def test_a_history_goes_over_many_pages(store: Store) -> None:
    chain = await chain_of(TreadleSaver(store), 150)
    found = (await chain.history("ch"))["ch"]
    assert (found["seed"].value, written(found)) == (["seed"], list(range(149)))


async def test_a_history_follows_parents_and_not_ids(store: Store) -> None:
    saver = TreadleSaver(store)
    chain = await chain_of(saver, 3)
    # Another machine's clock is ahead: the parent's id sorts above its child's.
    ahead = thread(chain.thread_id, checkpoint_id="f" * 36)
    await put_at(saver, chain.head, ahead)
    await saver.aput_writes(ahead, [("ch", "ahead")], "task")
    chain.head = ahead
    await chain.add()
    assert written((await chain.history("ch"))["ch"]) == [0, 1, 2, "ahead"]


async def test_a_history_with_a_hole_raises(store: Store) -> None:
    saver = TreadleSaver(store)
    chain = await chain_of(saver, 5)
    configs = [each.config async for each in saver.alist(thread(chain.thread_id))]
    hole = configs[3]["configurable"]["checkpoint_id"]
    await store.documents.delete(f"langgraph.{chain.thread_id}", ("", "c", "", hole))
    with pytest.raises(CorruptRecord, match=r"its parent .* was deleted; its delta channels"):
        await chain.history("ch")


async def test_the_history_of_a_checkpoint_that_was_deleted_raises(store: Store) -> None:
    chain = await chain_of(TreadleSaver(store), 5)
    await chain.saver.adelete_thread(chain.thread_id)
    with pytest.raises(CorruptRecord, match="does not exist, or was deleted"):
        await chain.history("ch")


async def put_at(saver: TreadleSaver, parent: Any, config: Any) -> None:
    """Store an empty checkpoint that has a given id."""
    checkpoint: Any = {
        "v": 1,
        "id": config["configurable"]["checkpoint_id"],
        "ts": "",
        "channel_values": {},
        "channel_versions": {},
        "versions_seen": {},
    }
    await saver.aput(parent, checkpoint, {"source": "loop", "step": 1}, {})


# --- serializers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["files", "sqlite"])
async def test_nothing_is_stored_in_plain_text_under_a_cipher(kind: str, tmp_path: Any) -> None:
    serde = EncryptedSerializer.from_pycryptodome_aes(key=b"1234567890123456")
    url = str(tmp_path / "a") if kind == "files" else f"sqlite:///{tmp_path}/a.db"
    async with open_store(url) as store:
        graph = compile_graph(TreadleSaver(store, serde=serde))
        for _ in range(3):
            await graph.ainvoke({"said": ["my secret", "is this"]}, thread())
        assert len((await graph.aget_state(thread())).values["said"]) == 9
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert stored
    for text in (b"secret", b"bXkgc2VjcmV0", b"teSBzZWNyZX", b"15IHNlY3JldA"):  # in base64, too
        assert text not in stored


async def test_a_wrong_key_raises(store: Store) -> None:
    right = EncryptedSerializer.from_pycryptodome_aes(key=b"1234567890123456")
    wrong = EncryptedSerializer.from_pycryptodome_aes(key=b"6543210987654321")
    await put(TreadleSaver(store, serde=right), thread(), {"a": 1})
    with pytest.raises(ValueError, match="MAC"):
        await TreadleSaver(store, serde=wrong).aget_tuple(thread())


async def test_a_saver_with_an_allowlist_shares_what_is_known(store: Store) -> None:
    saver = TreadleSaver(store, serde=JsonPlusSerializer(allowed_msgpack_modules=None))
    config = await put(saver, thread(), {"a": LONG[:5]})
    stricter = saver.with_allowlist([("my.module", "Kind")])
    assert stricter is not saver
    config = await put(stricter, config, {"a": LONG})
    found = await store.documents.list("langgraph.t", prefix=("", "x"))
    assert [each.value["items"] for each in found.items] == [5, 5]


async def test_a_listing_has_no_threads_of_a_saver_with_a_longer_prefix(store: Store) -> None:
    of_a, of_b = TreadleSaver(store), TreadleSaver(store, collection="langgraph.b")
    await put(of_a, thread("t"), {"a": 1})
    for name in ("t", "u"):
        await put(of_b, thread(name), {"a": 2})
    found = [each async for each in of_a.alist(None)]
    assert [each.checkpoint["channel_values"] for each in found] == [{"a": 1}]
    assert len([each async for each in of_b.alist(None)]) == 2
