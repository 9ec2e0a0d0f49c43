"""The store for long-term memory: what LangGraph's own tests do not try."""

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from langgraph.store.base import GetOp, ListNamespacesOp, PutOp, SearchOp
from langgraph.store.sqlite.aio import AsyncSqliteStore

from tests.marks import every_backend
from treadle import InvalidValue, Store, blocking, open_store
from treadle.integrations.langgraph import TreadleStore
from treadle.testing.clock import ManualClock


@every_backend
async def test_items_are_found_by_key_and_by_namespace(store_url: str) -> None:
    async with open_store(store_url, migrate=True) as store:
        items = TreadleStore(store)
        before = datetime.now(UTC)
        await items.aput(("users", "1"), "name", {"text": "Ada", "age": 36})
        await items.aput(("users", "12"), "name", {"text": "Bob", "age": 40})
        await items.aput(("users", "1", "pets"), "cat", {"text": "Kim"})
        await items.aput(("users", "1"), "name", {"text": "Ada", "age": 37})
        found = await items.aget(("users", "1"), "name")
        assert found is not None
        assert (found.value, found.namespace) == ({"text": "Ada", "age": 37}, ("users", "1"))
        assert abs((found.created_at - before).total_seconds()) < 60
        below = await items.asearch(("users", "1"))
        assert [(each.namespace, each.key) for each in below] == [
            (("users", "1"), "name"),
            (("users", "1", "pets"), "cat"),
        ]
        older = await items.asearch(("users",), filter={"age": {"$gte": 37}, "text": {"$ne": "x"}})
        assert [each.value["text"] for each in older] == ["Ada", "Bob"]
        namespaces = await items.alist_namespaces(prefix=("users", "*"), max_depth=2)
        assert namespaces == [("users", "1"), ("users", "12")]
        await items.adelete(("users", "1", "pets"), "cat")
        assert await items.alist_namespaces(suffix=("pets",)) == []


TEXTS = ["", "%", "%41", "a/b", "日本", "\x01\x1f", "*", "#"]


@every_backend
async def test_any_text_is_a_key(store_url: str) -> None:
    async with open_store(store_url, migrate=True) as store:
        items = TreadleStore(store)
        for text in TEXTS:
            await items.aput((f"n{text}",), text, {"text": text})
        for text in TEXTS:
            found = await items.aget((f"n{text}",), text)
            assert found is not None
            assert (found.key, found.namespace, found.value) == (
                text,
                (f"n{text}",),
                {"text": text},
            )
        assert await items.alist_namespaces() == sorted((f"n{text}",) for text in TEXTS)


@every_backend
@pytest.mark.parametrize("text", ["half of an emoji: \ud83d", "x" * 2_000], ids=["half", "long"])
async def test_there_is_no_item_under_a_key_that_cannot_be_stored(store: Store, text: str) -> None:
    items = TreadleStore(store)
    await items.aput(("a",), "k", {"v": 1})
    with pytest.raises(InvalidValue):
        await items.aput(("a",), text, {"v": 1})
    assert await items.aget(("a",), text) is None
    assert await items.aget((text,), "k") is None
    assert await items.asearch((text,)) == []
    assert await items.asearch((text,), filter={"v": 1}) == []
    await items.adelete(("a",), text)
    found, other = await items.abatch([GetOp(("a",), "k"), GetOp(("a",), text)])
    assert found is not None
    assert other is None


async def test_a_batch_reads_before_it_writes(store: Store) -> None:
    items = TreadleStore(store)
    await items.aput(("a",), "k", {"n": 1})
    results = await items.abatch(
        [
            PutOp(("a",), "k", {"n": 2}),
            GetOp(("a",), "k"),
            PutOp(("b",), "k", {"n": 3}),
            SearchOp(("b",)),
            ListNamespacesOp(),
            PutOp(("a",), "k", {"n": 4}),
        ]
    )
    assert results[0] is results[2] is results[5] is None
    assert [results[3], results[4]] == [[], [("a",)]]
    found: Any = results[1]
    assert found.value == {"n": 1}
    after = await items.aget(("a",), "k")
    assert after is not None
    assert after.value == {"n": 4}


async def test_more_items_than_a_page_has(store: Store) -> None:
    items = TreadleStore(store)
    await items.abatch([PutOp((f"n{number // 450}",), str(number), {}) for number in range(1_350)])
    assert len(await items.asearch((), limit=2_000)) == 1_350
    assert len(await items.asearch(("n1",), limit=2_000, offset=440)) == 10
    assert await items.alist_namespaces() == [("n0",), ("n1",), ("n2",)]
    wanted = [GetOp((f"n{number // 450}",), str(number)) for number in range(1_350)]
    assert all(await items.abatch(wanted))


async def test_an_item_expires_and_reading_it_makes_it_live_longer(store: Store) -> None:
    items = TreadleStore(store, ttl={"default_ttl": 10, "refresh_on_read": True})
    await items.aput(("a",), "read", {})
    await items.aput(("a",), "other", {})
    await items.aput(("a",), "permanent", {}, ttl=None)
    before = {each.key[-1]: each for each in (await store.documents.list("langgraph-store")).items}
    await store.documents.touch("langgraph-store", before["read"].key, expires_at=2**42)
    await items.aget(("a",), "read")
    after = {each.key[-1]: each for each in (await store.documents.list("langgraph-store")).items}
    assert after["read"].expires_at is not None
    assert before["other"].expires_at is not None
    assert 0 <= after["read"].expires_at - before["other"].expires_at < 60_000
    assert after["other"] == before["other"]
    assert after["permanent"].expires_at is None
    for key in ("read", "other"):
        await store.documents.touch("langgraph-store", before[key].key, expires_at=1)
    assert [each.key for each in await items.asearch(("a",))] == ["permanent"]
    assert await items.asweep_ttl() == 2


@every_backend
async def test_an_item_lives_as_long_as_the_clock_of_the_store_says(store_url: str) -> None:
    clock = ManualClock()
    async with open_store(store_url, clock=clock, migrate=True) as store:
        await _let_expire(store, clock)


async def _let_expire(store: Store, clock: ManualClock) -> None:
    items = TreadleStore(store, ttl={"default_ttl": 10})
    await items.aput(("a",), "read", {})
    await items.aput(("a",), "other", {})
    clock.now += 9 * 60_000
    assert await items.asweep_ttl() == 0
    assert await items.aget(("a",), "read", refresh_ttl=True)
    clock.now += 60_000
    assert [each.key for each in await items.asearch(("a",), refresh_ttl=False)] == ["read"]
    assert await items.asweep_ttl() == 1
    clock.now += 9 * 60_000
    assert await items.aget(("a",), "read") is None
    assert await items.asweep_ttl() == 1


async def expiries(store: Store) -> list[int | None]:
    return [each.expires_at for each in (await store.documents.list("langgraph-store")).items]


@pytest.mark.parametrize("config", [{}, {"refresh_on_read": True}, {"refresh_on_read": False}])
@pytest.mark.parametrize("asked", [None, True, False])
async def test_a_read_refreshes_as_the_call_says_or_else_the_configuration(
    store: Store, config: dict[str, bool], asked: bool | None
) -> None:
    ttl: Any = {"default_ttl": 10, **config}
    items = TreadleStore(store, ttl=ttl)
    await items.aput(("a",), "k", {})
    refreshes = config.get("refresh_on_read", False) if asked is None else asked
    for read in (
        lambda: items.aget(("a",), "k", refresh_ttl=asked),
        lambda: items.asearch(("a",), refresh_ttl=asked),
    ):
        [found] = (await store.documents.list("langgraph-store")).items
        await store.documents.touch("langgraph-store", found.key, expires_at=2**42)
        assert await read()
        assert (await expiries(store) != [2**42]) == refreshes


@every_backend
async def test_a_read_does_not_let_an_item_expire_that_was_written_meanwhile(
    store_url: str,
) -> None:
    async with open_store(store_url, migrate=True) as store:
        items = TreadleStore(store, ttl={"default_ttl": 10})
        await items.abatch([PutOp(("a",), key, {}, ttl=10) for key in ("k", "other")])
        read: Any = store.read

        async def read_and_write(*queries: Any) -> Any:
            answer = await read(*queries)
            store.read = read  # type: ignore[method-assign]
            await items.aput(("a",), "k", {"kept": True}, ttl=None)
            found = (await store.documents.list("langgraph-store")).items
            await store.documents.touch("langgraph-store", found[1].key, expires_at=2**42)
            return answer

        store.read = read_and_write  # type: ignore[method-assign]
        await items.abatch([GetOp(("a",), "k"), GetOp(("a",), "other")])
        permanent, refreshed = await expiries(store)
        assert permanent is None
        assert refreshed is not None
        assert refreshed < 2**42


async def test_an_item_that_lives_for_a_while_is_read_from_a_store_to_read_only(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    async with open_store(url) as store:
        await TreadleStore(store).aput(("a",), "k", {"n": 1}, ttl=10)
    async with open_store(url, read_only=True) as store:
        found = await TreadleStore(store).aget(("a",), "k")
    assert found is not None
    assert found.value == {"n": 1}


async def test_an_index_is_refused(store: Store) -> None:
    with pytest.raises(InvalidValue, match="there is no semantic search"):
        TreadleStore(store, index={"dims": 2, "embed": lambda texts: [[0.0, 1.0] for _ in texts]})


async def test_a_value_that_is_no_json_is_refused(store: Store) -> None:
    with pytest.raises(InvalidValue):
        await TreadleStore(store).aput(("a",), "k", {"when": datetime.now(UTC)})


@every_backend
async def test_tuples_are_stored_as_lists_as_in_all_stores_of_langgraph(store: Store) -> None:
    items = TreadleStore(store)
    await items.aput(("a",), "k", {"at": (1, 2), "path": [{"from": ("x",)}]})
    found = await items.aget(("a",), "k")
    assert found is not None
    assert found.value == {"at": [1, 2], "path": [{"from": ["x"]}]}
    assert len(await items.asearch(("a",), filter={"at": (1, 2)})) == 1
    assert len(await items.asearch(("a",), filter={"at": {"$ne": (1, 2)}})) == 0


class Color(StrEnum):
    RED = "red"


@every_backend
async def test_members_of_enums_are_stored_as_what_they_hold_as_in_all_stores_of_langgraph(
    store: Store,
) -> None:
    async with AsyncSqliteStore.from_conn_string(":memory:") as theirs:
        await theirs.setup()
        for items in (theirs, TreadleStore(store)):
            await items.aput(("a",), "k", {"color": Color.RED, "all": [Color.RED]})
            [found] = await items.asearch(("a",), filter={"color": Color.RED})
            assert found.value == {"color": "red", "all": ["red"]}
            assert type(found.value["color"]) is str


async def test_a_value_that_holds_itself_is_refused(store: Store) -> None:
    value: dict[str, Any] = {}
    value["self"] = (value,)
    with pytest.raises(InvalidValue):
        await TreadleStore(store).aput(("a",), "k", value)


@pytest.mark.parametrize("minutes", [float("inf"), float("-inf"), float("nan"), -1, 1e300])
async def test_a_life_that_no_clock_can_measure_is_refused(store: Store, minutes: float) -> None:
    items = TreadleStore(store)
    with pytest.raises(InvalidValue):
        await items.aput(("a",), "k", {"n": 1}, ttl=minutes)
    assert await items.aget(("a",), "k") is None


@pytest.mark.parametrize("value", ["text", None, 3, True])
async def test_what_cannot_be_compared_is_not_found(store: Store, value: object) -> None:
    items = TreadleStore(store)
    await items.aput(("a",), "k", {"n": value})
    assert await items.asearch(("a",), filter={"n": {"$gt": [1]}}) == []
    assert len(await items.asearch(("a",), filter={"n": value})) == 1


def test_calls_without_await() -> None:
    with blocking.open_store("memory:") as store:
        items = TreadleStore(store)
        items.put(("a",), "k", {"n": 1}, ttl=1)
        assert [each.value for each in items.search(("a",))] == [{"n": 1}]
        assert items.sweep_ttl() == 0
        items.delete(("a",), "k")
        assert items.list_namespaces() == []
