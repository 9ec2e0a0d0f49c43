"""A store belongs to the process that opened it: a forked child is refused, and does no harm."""

import asyncio
import multiprocessing
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.marks import every_backend
from treadle import Store, StoreClosed, Thread, open_store

pytestmark = [
    pytest.mark.skipif(
        "fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork"
    ),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
_CALLS: tuple[Callable[[Store], Awaitable[object]], ...] = (
    lambda store: store.threads.load("t"),
    lambda store: store.threads.create(Thread(id="from the child")),
    lambda store: store.mailboxes.claim(consumer="child"),
    lambda store: store.mailboxes.wait(10),
)


@contextmanager
def forked(work: Callable[..., None], *arguments: object) -> Generator[Any]:
    """Fork a child that runs `work(pipe, *arguments)`; killed at the end. Yields our end."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=work, args=(theirs, *arguments))
    child.start()
    try:
        yield ours
    finally:
        child.kill()
        child.join()


async def hear(pipe: Any) -> Any:
    """The next message of the child; there must be one."""
    assert await asyncio.to_thread(pipe.poll, 20), "the child says nothing"
    return pipe.recv()


def _use(pipe: Any, store: Store) -> None:
    for call in _CALLS:
        try:
            asyncio.run(call(store))  # type: ignore[arg-type]
        except StoreClosed as error:
            pipe.send(str(error))
        else:
            pipe.send("used")
    asyncio.run(store.close())
    pipe.send("closed")


@every_backend
async def test_a_forked_child_is_refused_and_the_parent_goes_on(store_url: str) -> None:
    async with open_store(store_url, migrate=True) as store:
        await store.threads.create(Thread(id="t"))
        with forked(_use, store) as pipe:
            for _ in _CALLS:
                assert "this process was forked" in await hear(pipe)
            assert await hear(pipe) == "closed"
        assert await store.threads.load("t") is not None
        await store.threads.create(Thread(id="from the parent"))


def _open_and_use(pipe: Any, store: Store) -> None:
    async def create() -> None:
        async with store:
            await store.threads.create(Thread(id="from the child"))

    asyncio.run(create())
    pipe.send("created")


@every_backend
@pytest.mark.parametrize("is_open", [False, True], ids=["not yet open", "open in the parent"])
async def test_a_child_can_open_the_store_itself(store_url: str, *, is_open: bool) -> None:
    async with open_store(store_url, migrate=True) as other:
        store = open_store(store_url)
        if is_open:
            await store.open()
        with forked(_open_and_use, store) as pipe:
            assert await hear(pipe) == "created"
        if is_open:
            await store.threads.create(Thread(id="from the parent"))
            await store.close()
        if other.capabilities.shared:
            assert await other.threads.load("from the child") is not None
