"""A store that is dropped without being closed warns, and is closed all the same."""

import asyncio
import gc
import os
import threading
import time
import warnings
import weakref
from contextlib import suppress

import pytest

from tests.marks import every_backend
from treadle import Message, NotFound, Store, StoreUnavailable, Thread, open_store

on_disk_or_server = pytest.mark.parametrize(
    "store_url", ["files", "sqlite", "postgres"], indirect=True
)


def _held() -> tuple[int, int]:
    """How many descriptors and threads of stores there are."""
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("treadle")]
    return len(os.listdir("/proc/self/fd")), len(ours)


async def _use(store: Store) -> None:
    await store.threads.save(Thread(id="t"))
    await store.threads.list()
    await store.mailboxes.claim(consumer="w")
    await store.mailboxes.wait(1)
    with suppress(NotFound):  # an error refers to the frames that it passed, and to their store
        await store.threads.append("none", Message.user("x"))


def _drop(stores: list[Store]) -> None:
    store = weakref.ref(stores[0])
    stores.clear()
    end = time.monotonic() + 20
    while store() is not None and time.monotonic() < end:  # its thread may still answer a call
        gc.collect()
        time.sleep(0.01)


@on_disk_or_server
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="it counts descriptors in /proc")
def test_a_store_that_is_dropped_warns_and_is_released(store_url: str) -> None:
    async def open_and_use() -> Store:
        store = await open_store(store_url, migrate=True).open()
        await _use(store)
        return store

    async def use_again() -> None:
        async with asyncio.timeout(20), open_store(store_url) as store:
            await _use(store)

    gc.collect()
    before = _held()
    stores = [asyncio.run(open_and_use())]
    with pytest.warns(ResourceWarning, match=r"store at .* was never closed"):
        _drop(stores)
    end = time.monotonic() + 20
    while _held() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert _held() <= before
    asyncio.run(use_again())


@every_backend
def test_a_store_that_is_closed_or_was_never_open_does_not_warn(store_url: str) -> None:
    async def close_twice() -> None:
        async with open_store(store_url, migrate=True) as store:
            await _use(store)
        await store.close()

    async def close_and_be_cancelled() -> None:
        store = await open_store(store_url).open()
        closing = asyncio.ensure_future(store.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_store(store_url)
        asyncio.run(close_twice())
        asyncio.run(close_and_be_cancelled())
        gc.collect()


@every_backend
async def test_an_open_store_is_not_opened_twice(store_url: str) -> None:
    async with open_store(store_url, migrate=True) as store:
        with pytest.raises(RuntimeError, match="is open already"):
            await store.open()
        await _use(store)


@every_backend
async def test_of_several_that_open_a_store_at_once_one_does(store_url: str) -> None:
    before = _held()
    store = open_store(store_url, migrate=True)
    outcomes = await asyncio.gather(*(store.open() for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in outcomes] == [Store, RuntimeError, RuntimeError]
    await _use(store)
    await store.close()
    assert _held()[1] == before[1]


@every_backend
@pytest.mark.parametrize("patience", [0, 1, 2])
def test_a_store_whose_closing_was_cancelled_is_closed_and_opened_again(
    store_url: str, patience: int
) -> None:
    async def close_and_be_cancelled(store: Store) -> None:
        closing = asyncio.ensure_future(store.close())
        for _ in range(patience):
            await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])

    async def use_it_again_and_again() -> None:
        store = open_store(store_url, migrate=True)
        for _ in range(5):
            async with asyncio.timeout(20), store:
                await _use(store)
                await close_and_be_cancelled(store)
                if patience:  # else it did not begin
                    assert repr(store).endswith("closed>")
                    await store.open()
                await _use(store)

    asyncio.run(use_it_again_and_again())


@every_backend
async def test_closing_a_store_that_was_never_open_does_nothing(store_url: str) -> None:
    store = open_store(store_url, migrate=True)
    await store.close()
    async with store:
        await _use(store)


@pytest.mark.parametrize(
    "url", ["file:/dev/null/store", "sqlite:////dev/null/x.db", "postgresql://localhost:1/x"]
)
async def test_closing_a_store_that_could_not_be_opened_does_nothing(url: str) -> None:
    store = open_store(url)
    with pytest.raises(StoreUnavailable):
        await store.open()
    await store.close()


@on_disk_or_server
async def test_a_store_is_not_opened_while_it_is_being_closed(store_url: str) -> None:
    store = await open_store(store_url, migrate=True).open()
    for _ in range(5):
        closing = asyncio.ensure_future(store.close())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="is open already"):
            await store.open()
        await closing
        async with asyncio.timeout(20):
            await store.open()
            await _use(store)
    await store.close()
