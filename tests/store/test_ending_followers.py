"""Followers are ended while the store goes on."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

import treadle
from tests.marks import every_backend
from treadle import Message, Store, Thread, blocking


async def rest(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


@every_backend
async def test_followers_end_and_all_else_goes_on(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", Message.user("one"))
    following = store.threads.follow("t", 0)
    with_live = store.threads.follow("t", 0, live=True)
    assert (await anext(following)).version == 1  # type: ignore[union-attr]
    await anext(with_live)
    async with store.live.follow("t") as values:
        waiting = [asyncio.create_task(rest(each)) for each in (following, with_live, values)]
        hints = store.changes(thread_id="t")
        await anext(hints)
        await asyncio.sleep(0)
        store.end_followers()
        async with asyncio.timeout(20):
            assert await asyncio.gather(*waiting) == [[], [], []]
            assert await rest(store.threads.follow("t", 0)) == []
            assert await rest(store.threads.follow("t", 0, live=True)) == []
            async with store.live.follow("t") as later:
                assert await rest(later) == []
            await store.threads.append("t", Message.user("two"))
            await anext(hints)
    assert len((await store.threads.list_messages("t")).messages) == 2
    await hints.aclose()


async def test_a_store_that_is_opened_again_has_followers_again() -> None:
    store = treadle.open_store("memory:")
    async with store:
        store.end_followers()
    async with store:
        await store.threads.create(Thread(id="t"))
        await store.threads.append("t", Message.user("one"))
        assert await anext(store.threads.follow("t", 0))


async def test_followers_are_ended_from_another_thread() -> None:
    async with treadle.open_store("memory:") as store:
        await store.threads.create(Thread(id="t"))
        waiting = [asyncio.create_task(rest(store.threads.follow("t", 0))) for _ in range(50)]
        await asyncio.sleep(0.01)
        thread = threading.Thread(target=store.end_followers)
        thread.start()
        async with asyncio.timeout(20):
            assert await asyncio.gather(*waiting) == [[]] * 50
        thread.join()
        assert not store._followers._waits


async def test_a_follower_that_is_cancelled_is_cancelled() -> None:
    async with treadle.open_store("memory:") as store:
        await store.threads.create(Thread(id="t"))
        waiting = asyncio.create_task(rest(store.threads.follow("t", 0)))
        await asyncio.sleep(0.01)
        waiting.cancel()
        store.end_followers()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not store._followers._waits


def test_blocking_followers_end() -> None:
    with blocking.open_store("memory:") as store:
        store.threads.create(Thread(id="t"))
        items: list[Any] = []
        thread = threading.Thread(target=lambda: items.extend(store.threads.follow("t", 0)))
        thread.start()
        store.end_followers()
        thread.join(20)
        assert not thread.is_alive()
        assert items == []
