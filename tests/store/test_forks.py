"""A store belongs to the process that opened it: a forked child is refused, and does no harm."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.marks import every_backend
from treadle import Message, Store, StoreClosed, Thread, open_store
from treadle.backends._forks import give_up_in_children

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


def _open_another(pipe: Any, url: str) -> None:
    async def create() -> None:
        async with open_store(url) as store:
            await store.threads.create(Thread(id=f"of {os.getpid()}"))

    asyncio.run(create())
    pipe.send("created")


@pytest.mark.parametrize("store_url", ["files", "sqlite", "postgres"], indirect=True)
async def test_a_child_can_open_the_store_while_its_parent_works(store_url: str) -> None:
    async def work(store: Store, number: int) -> None:
        while True:
            await store.threads.append("t", Message.user(str(number)))
            await store.threads.list_messages("t", limit=1)

    async with open_store(store_url, migrate=True) as store:
        await store.threads.create(Thread(id="t"))
        working = [asyncio.create_task(work(store, number)) for number in range(3)]
        for _ in range(20):
            await asyncio.sleep(0.01)
            with forked(_open_another, store_url) as pipe:
                assert await hear(pipe) == "created"
        for task in working:
            task.cancel()
        await asyncio.wait(working)
        assert (await store.threads.list()).total == 21


class _Holder:
    """Something with descriptors; one of two cannot close them."""

    def __init__(self, name: str, given_up: list[str]) -> None:
        self._name = name
        self._given_up = given_up

    def give_up(self) -> None:
        self._given_up.append(self._name)
        raise OSError(self._name)


def test_a_child_gives_up_everything_even_if_something_fails() -> None:
    given_up: list[str] = []
    holders = [_Holder(name, given_up) for name in ("a", "b")]
    for holder in holders:
        give_up_in_children(holder)
    child = os.fork()
    if child == 0:
        os._exit(0 if sorted(given_up) == ["a", "b"] else 1)
    assert os.waitpid(child, 0)[1] == 0


@contextmanager
def killed_while_it_forks(url: str) -> Generator[None]:
    """Run `forking_process` until it is killed; its child lives until the end of the block."""
    script = [sys.executable, "-m", "tests.store.forking_process", url]
    with subprocess.Popen(script, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        try:
            assert parent.wait(20) == -signal.SIGKILL
            yield
        finally:
            os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("store_url", ["files", "sqlite", "postgres"], indirect=True)
def test_a_child_does_not_keep_the_locks_of_a_killed_parent(store_url: str) -> None:
    async def use() -> None:
        async with asyncio.timeout(20), open_store(store_url) as store:
            assert (await store.threads.list()).items == ("acknowledged",)
            await store.threads.create(Thread(id="from another process"))

    with killed_while_it_forks(store_url):
        asyncio.run(use())


@pytest.mark.parametrize("store_url", ["postgres"], indirect=True)
def test_a_child_does_not_keep_the_sessions_of_a_killed_parent(store_url: str) -> None:
    name = uuid4().hex
    left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
    with (
        killed_while_it_forks(f"{store_url}&application_name={name}"),
        psycopg.connect(store_url.partition("&schema=")[0], autocommit=True) as connection,
    ):
        for _ in range(200):  # the server sees a moment later that a client has left
            if connection.execute(left, (name,)).fetchone() == (0,):
                return
            time.sleep(0.05)
        pytest.fail("the server still has a session of the parent")


def _open_and_wait(pipe: Any, url: str) -> None:
    async def create_when_asked() -> None:
        async with open_store(url) as store:
            pipe.send("opened")
            await asyncio.to_thread(pipe.recv)
            await store.threads.create(Thread(id="from the child"))
        pipe.send("closed")

    asyncio.run(create_when_asked())


@pytest.mark.parametrize("store_url", ["files", "sqlite", "postgres"], indirect=True)
async def test_the_store_that_a_child_opens_outlives_its_parents(store_url: str) -> None:
    async with open_store(store_url, migrate=True) as store:
        await store.threads.create(Thread(id="t"))
        await store.threads.list()
        await store.mailboxes.wait(1)
        child = forked(_open_and_wait, store_url)
        pipe = child.__enter__()
        assert await hear(pipe) == "opened"
    try:
        async with open_store(store_url) as store:
            await store.threads.create(Thread(id="after"))
        pipe.send("go on")
        assert await hear(pipe) == "closed"
    finally:
        child.__exit__(None, None, None)
    async with open_store(store_url) as store:
        assert (await store.threads.list()).items == ("after", "from the child", "t")
