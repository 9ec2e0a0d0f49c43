"""Lists are stored by what was added to them."""

from typing import Any

from langgraph.checkpoint.serde.encrypted import EncryptedSerializer

from tests.frameworks.langgraph.graphs import compile_graph, put, thread, values_of
from tests.marks import every_backend
from treadle import Document, Store, open_store
from treadle.integrations.langgraph import TreadleSaver

LONG = [f"word {number}" for number in range(10)]


async def pieces(store: Store, collection: str = "langgraph.t") -> list[Document]:
    page = await store.documents.list(collection, prefix=("", "x"), limit=200)
    assert not page.has_more
    return list(page.items)


async def test_a_list_that_grows_is_stored_once(store: Store) -> None:
    saver = TreadleSaver(store)
    config = thread()
    for length in (4, 5, 10):
        config = await put(saver, config, {"a": LONG[:length]})
    assert [document.value["items"] for document in await pieces(store)] == [4, 1, 5]
    assert await values_of(saver, config) == {"a": LONG}


@every_backend
async def test_a_fresh_process_goes_on_with_a_list(store_url: str) -> None:
    async with open_store(store_url, migrate=True) as store:
        config = await put(TreadleSaver(store), thread(), {"a": LONG[:5]})
        other = TreadleSaver(store)
        assert await values_of(other, config) == {"a": LONG[:5]}
        config = await put(other, config, {"a": LONG})
        assert [document.value["items"] for document in await pieces(store)] == [5, 5]
        assert await values_of(TreadleSaver(store), config) == {"a": LONG}


async def test_small_values_are_in_the_checkpoint_and_others_are_stored_once(store: Store) -> None:
    saver = TreadleSaver(store)
    values = {"a": 1, "b": "long " * 100, "c": LONG}
    config = await put(saver, thread(), values, dict.fromkeys(values, "1"))
    config = await put(saver, config, {**values, "a": 2}, {**dict.fromkeys(values, "1"), "a": "2"})
    kinds = [each.key[1] for each in (await store.documents.list("langgraph.t")).items]
    assert kinds == ["b", "c", "c", "t", "x"]
    for reader in (saver, TreadleSaver(store)):
        assert await values_of(reader, config) == {**values, "a": 2}


@every_backend
async def test_checkpoints_that_have_no_values_themselves_are_read_and_go_on(
    store_url: str,
) -> None:
    """As they were stored at first: each value, and each list, had a document of its own."""
    async with open_store(store_url, migrate=True) as store:
        config = await put(TreadleSaver(store), thread(), {"a": LONG[:5], "b": 1})
        key = ("", "c", "", config["configurable"]["checkpoint_id"])
        head: Any = await store.documents.load("langgraph.t", key)
        async with store.batch() as step:
            for channel, value in head.value.pop("values").items():
                step.documents.put("langgraph.t", ("", "b", "", channel, key[3]), value)
            step.documents.put("langgraph.t", key, head.value)
        saver = TreadleSaver(store)
        assert await values_of(saver, config) == {"a": LONG[:5], "b": 1}
        await saver.acopy_thread("t", "copy")
        versions = {"a": "2", "b": key[3]}
        config = await put(saver, config, {"a": LONG, "b": 1}, versions)
        assert [document.value["items"] for document in await pieces(store)] == [5, 5]
        await saver.aprune(["t"])
        for reader in (saver, TreadleSaver(store)):
            assert await values_of(reader, config) == {"a": LONG, "b": 1}
            assert await values_of(reader, thread("copy")) == {"a": LONG[:5], "b": 1}


async def test_a_list_of_many_pieces_is_read_whole(store: Store) -> None:
    saver, config = TreadleSaver(store), thread()
    numbers = list(range(60))
    for length in range(4, 61):
        config = await put(saver, config, {"a": numbers[:length]})
    assert len(await pieces(store)) == 57
    assert await values_of(saver, config) == {"a": numbers}
    assert await values_of(TreadleSaver(store), config) == {"a": numbers}
    history = [found.checkpoint["channel_values"]["a"] async for found in saver.alist(thread())]
    assert history == [numbers[:length] for length in range(60, 3, -1)]


async def test_branches_do_not_mix_their_items(store: Store) -> None:
    saver = TreadleSaver(store)
    root = await put(saver, thread(), {"a": LONG[:4]})
    left = await put(saver, root, {"a": [*LONG[:4], "left"]})
    right = await put(saver, root, {"a": [*LONG[:4], "right"]})
    left_again = await put(saver, left, {"a": [*LONG[:4], "left", "more"]})
    for reader in (saver, TreadleSaver(store)):
        assert await values_of(reader, root) == {"a": LONG[:4]}
        assert await values_of(reader, left) == {"a": [*LONG[:4], "left"]}
        assert await values_of(reader, right) == {"a": [*LONG[:4], "right"]}
        assert await values_of(reader, left_again) == {"a": [*LONG[:4], "left", "more"]}


async def test_a_change_in_place_is_stored(store: Store) -> None:
    saver = TreadleSaver(store)
    items: list[dict[str, Any]] = [{"text": word} for word in LONG]
    first = await put(saver, thread(), {"a": items})
    items[2]["text"] = "changed"
    second = await put(saver, first, {"a": items})
    assert (await values_of(saver, first))["a"][2] == {"text": "word 2"}
    assert (await values_of(saver, second))["a"][2] == {"text": "changed"}


async def test_a_shorter_list_takes_no_room(store: Store) -> None:
    saver = TreadleSaver(store)
    first = await put(saver, thread(), {"a": LONG[:4]})
    second = await put(saver, first, {"a": LONG})
    third = await put(saver, second, {"a": LONG[:4]})
    assert len(await pieces(store)) == 2
    assert await values_of(saver, third) == {"a": LONG[:4]}
    fourth = await put(saver, third, {"a": [*LONG[:4], "other"]})
    assert await values_of(saver, fourth) == {"a": [*LONG[:4], "other"]}
    assert await values_of(saver, second) == {"a": LONG}


async def test_encrypted_lists_are_stored_by_what_was_added(store: Store) -> None:
    serde = EncryptedSerializer.from_pycryptodome_aes(key=b"1234567890123456")
    saver = TreadleSaver(store, serde=serde)
    config = await put(saver, thread(), {"a": LONG[:5]})
    config = await put(saver, config, {"a": LONG})
    found = await pieces(store)
    assert [document.value["value"][0] for document in found] == ["msgpack+aes"] * 2
    assert await values_of(TreadleSaver(store, serde=serde), config) == {"a": LONG}


async def test_values_from_before_the_encryption_are_read(store: Store) -> None:
    config = await put(TreadleSaver(store), thread(), {"a": LONG, "b": 1})
    serde = EncryptedSerializer.from_pycryptodome_aes(key=b"1234567890123456")
    assert await values_of(TreadleSaver(store, serde=serde), config) == {"a": LONG, "b": 1}


async def test_a_turn_of_a_graph_writes_no_message_twice(store: Store) -> None:
    graph = compile_graph(TreadleSaver(store))
    for turn in range(6):
        await graph.ainvoke({"said": [f"question {turn}"]}, thread())
    found = await pieces(store)
    assert sum(document.value["items"] for document in found) == 12
