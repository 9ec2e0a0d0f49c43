"""Following a thread: each version once, in order, until the thread is gone."""

import asyncio
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, TypeAlias

import pytest

from tests.marks import every_backend
from treadle import (
    FollowedItem,
    Hint,
    InvalidId,
    InvalidValue,
    Message,
    NotFound,
    Store,
    Thread,
    ThreadDeleted,
    ThreadDelta,
    ThreadReset,
    open_store,
)
from treadle.backends._hints import Hints
from treadle.core.hints import ANYTHING
from treadle.core.limits import PAGE
from treadle.store import following
from treadle.testing._harness.listening import Listener, listening

Follower: TypeAlias = Listener[FollowedItem]


def following_from(store: Store, version: int) -> AbstractAsyncContextManager[Follower]:
    """Follow the thread during the block."""
    return listening(store.threads.follow("t", version))


async def until(follower: Follower, count: int) -> list[FollowedItem]:
    """Return the items, once there are so many."""
    await follower.until(lambda items: len(items) >= count)
    return follower.items


def versions(follower: Follower) -> list[int]:
    """The versions of all deltas."""
    return [item.version for item in follower.items if isinstance(item, ThreadDelta)]


async def say(store: Store, *texts: str) -> None:
    for text in texts:
        await store.threads.append("t", Message.user(text))


@every_backend
async def test_each_version_comes_once_and_in_order(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await say(store, "one", "two")
    async with following_from(store, 0) as follower:
        await until(follower, 2)
        await asyncio.gather(*(say(store, "more", "and more") for _ in range(5)))
        await until(follower, 12)
    assert versions(follower) == list(range(1, 13))
    assert tuple(follower.items) == await store.threads.list_deltas("t", 0)


@every_backend
async def test_what_was_missed_is_read_in_pages(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A follower that is far behind has a page in memory, and waits for no hint before the next."""
    count, read = 2 * PAGE + 1, following._news
    pages: list[int] = []

    async def counted(*arguments: Any) -> Any:
        items, runs = await read(*arguments)
        pages.append(len(items))
        return items, runs

    monkeypatch.setattr(following, "_news", counted)
    await store.threads.create(Thread(id="t"))
    async with store.batch() as step:
        for number in range(count):
            step.threads.append("t", Message.user(str(number)))
    async with following_from(store, 0) as follower:
        await until(follower, count)
    assert versions(follower) == list(range(1, count + 1))
    assert pages[:3] == [PAGE, PAGE, 1]


@every_backend
async def test_one_who_resumes_gets_the_rest(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await say(store, "one", "two", "three")
    async with following_from(store, 2) as follower:
        await until(follower, 1)
        await say(store, "four")
        await until(follower, 2)
    assert versions(follower) == [3, 4]


@every_backend
async def test_without_a_version_only_what_is_new_comes(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await say(store, "one", "two")
    async with listening(store.threads.follow("t")) as follower:
        while not follower.items:
            await say(store, "more")
            await asyncio.sleep(0.01)
        await say(store, "last")
        present = await store.threads.summary("t")
        assert present is not None
        await follower.until(lambda items: versions(follower)[-1] == present.version)
    begin, *_ = versions(follower)
    assert begin > 2
    assert versions(follower) == list(range(begin, present.version + 1))


@every_backend
async def test_a_thread_that_is_saved_as_a_whole_comes_as_a_whole(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    async with following_from(store, 0) as follower:
        await say(store, "one")
        await until(follower, 1)
        await store.threads.save(Thread(id="t"))
        await until(follower, 2)
        await say(store, "after")
        await until(follower, 3)
    _, reset, after = follower.items
    assert isinstance(reset, ThreadReset)
    assert (reset.head.version, reset.head.thread.messages) == (2, ())
    assert isinstance(after, ThreadDelta)
    assert after.version == 3


@every_backend
async def test_a_truncation_is_a_delta(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    async with following_from(store, 0) as follower:
        await say(store, "one", "two", "three")
        await until(follower, 3)
        await store.threads.truncate("t", keep=1)
        await say(store, "again")
        await until(follower, 5)
    assert versions(follower) == [1, 2, 3, 4, 5]
    truncation = follower.items[3]
    assert isinstance(truncation, ThreadDelta)
    assert truncation.changes.truncated_to == 1


@every_backend
async def test_a_version_that_the_thread_has_not_reached_gives_a_reset(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    async with following_from(store, 5) as follower:
        [reset] = await until(follower, 1)
    assert isinstance(reset, ThreadReset)
    assert reset.head == await store.threads.load("t")


@every_backend
async def test_a_thread_that_is_deleted_ends_it(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    async with following_from(store, 0) as follower:
        await say(store, "one")
        await until(follower, 1)
        await store.threads.delete("t")
        await until(follower, 2)
        await follower.until_end()
    assert follower.items[-1] == ThreadDeleted(thread_id="t")


@every_backend
async def test_a_change_of_labels_is_no_item(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    async with following_from(store, 0) as follower:
        await store.threads.update("t", metadata={"title": "Hi"})
        await say(store, "one")
        await until(follower, 1)
    assert versions(follower) == [1]
    assert len(follower.items) == 1


@every_backend
async def test_a_thread_that_does_not_exist_is_not_followed(store: Store) -> None:
    with pytest.raises(NotFound):
        await anext(store.threads.follow("t", 0))
    with pytest.raises(NotFound):
        await anext(store.threads.follow("t"))


@every_backend
@pytest.mark.parametrize("live", [False, True])
async def test_none_comes_when_nothing_does_and_no_version_is_missed(
    store: Store, live: bool
) -> None:
    await store.threads.create(Thread(id="t"))
    await say(store, "one", "two")
    seen: list[int] = []
    async with aclosing(store.threads.follow("t", 0, live=live, idle_ms=50)) as items:
        async for item in items:
            if item is not None:
                assert isinstance(item, ThreadDelta)
                seen.append(item.version)
                continue
            if len(seen) == 5:
                break
            await say(store, "meanwhile")
    assert seen == [1, 2, 3, 4, 5]


@every_backend
async def test_none_comes_when_there_are_no_changes(store: Store) -> None:
    async with aclosing(store.changes(thread_id="t", idle_ms=100)) as hints:
        while (hint := await anext(hints)) is not None:
            assert hint.kind == "anything"
        await store.threads.create(Thread(id="t"))
        while (hint := await anext(hints)) is None:
            pass
        assert hint in {Hint(kind="thread", id="t"), ANYTHING}


async def test_what_is_left_while_nothing_comes_leaves_no_task() -> None:
    async with open_store("memory:") as store:
        await store.threads.create(Thread(id="t"))
        before = asyncio.all_tasks()
        items = store.threads.follow("t", 0, idle_ms=1)
        assert await anext(items) is None
        await items.aclose()
        reader = asyncio.ensure_future(anext(store.threads.follow("t", 0, idle_ms=60_000)))
        await asyncio.sleep(0.01)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before


@every_backend
async def test_none_comes_no_more_when_followers_end(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    items = store.threads.follow("t", 0, idle_ms=50)
    assert await anext(items) is None
    store.end_followers()
    assert [item async for item in items if item is not None] == []


@pytest.mark.parametrize("idle_ms", [0, -1, 1.5, True, "1", 2**63])
async def test_how_long_nothing_may_come_is_checked_at_once(idle_ms: Any) -> None:
    async with open_store("memory:") as store:
        with pytest.raises(InvalidValue, match=r"follow\.idle_ms"):
            store.threads.follow("t", 0, idle_ms=idle_ms)
        with pytest.raises(InvalidValue, match=r"changes\.idle_ms"):
            store.changes(idle_ms=idle_ms)


async def test_nothing_may_come_for_any_time() -> None:
    async with open_store("memory:") as store:
        await store.threads.create(Thread(id="t"))
        items = store.threads.follow("t", 0, idle_ms=2**63 - 1)
        await say(store, "one")
        assert await anext(items)
        await items.aclose()


def test_arguments_are_checked_at_once() -> None:
    threads = open_store("memory:").threads
    with pytest.raises(InvalidId):
        threads.follow("a/b", 0)
    with pytest.raises(InvalidValue):
        threads.follow("t", 1.5)  # type: ignore[call-overload]


@every_backend
async def test_it_ends_when_the_store_is_closed(store_url: str) -> None:
    async with open_store(store_url) as store:
        await store.threads.create(Thread(id="t"))
        await say(store, "one")
        async with following_from(store, 0) as follower:
            await until(follower, 1)
            await store.close()
            await follower.until_end()


@every_backend
async def test_a_lost_hint_costs_a_look_and_no_version(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(Hints, "give", lambda self, hints: None)
    await store.threads.create(Thread(id="t"))
    async with following_from(store, 0) as follower:
        await say(store, "one")
        await until(follower, 1)
        await say(store, "two")
        await until(follower, 2)
    assert versions(follower) == [1, 2]
