"""Following a thread: each version once, in order, until the thread is gone."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

import pytest

from tests.marks import every_backend
from treadle import (
    FollowedItem,
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
        present = await store.threads.head("t")
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
