"""Many streams of one server process: none loses an event, and idle ones cost next to nothing."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

import treadle
from tests.http.servers import TOKEN, Server, serving, stream
from treadle import Message, Store, Thread

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="Linux says what a process uses"
)


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
def server(store_url: str) -> Iterator[Server]:
    with serving(store_url) as running:
        yield running


async def create(store: Store, names: list[str]) -> None:
    for start in range(0, len(names), 500):
        async with store.batch() as step:
            for name in names[start : start + 500]:
                step.threads.create(Thread(id=name, resource_id="alice"))


async def append_to(store: Store, names: list[str], rounds: int, pause: float) -> None:
    for number in range(rounds):
        async with store.batch() as step:
            for name in names:
                step.threads.append(name, Message.user(f"{number}"))
        await asyncio.sleep(pause)


@pytest.mark.parametrize(
    ("idle", "busy", "seconds"),
    [(100, 20, 2), pytest.param(2_000, 200, 60, marks=pytest.mark.soak)],
)
async def test_no_stream_loses_an_event_and_idle_ones_cost_little(
    server: Server, store_url: str, idle: int, busy: int, seconds: int
) -> None:
    quiet, loud = [f"idle-{n}" for n in range(idle)], [f"busy-{n}" for n in range(busy)]
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(treadle.open_store(store_url))
        await create(store, [*quiet, *loud])
        for name in loud[: busy // 2]:  # what is loaded once is loaded before it is counted
            await stack.enter_async_context(stream(server, name))
        before = server.memory
        silent = [await stack.enter_async_context(stream(server, name)) for name in quiet]
        per_stream = (server.memory - before) / idle
        await asyncio.sleep(0.3)  # what opening them has left to do is not counted
        busy_before, began = server.processor_seconds, time.monotonic()
        await asyncio.sleep(seconds / 3)
        share = (server.processor_seconds - busy_before) / (time.monotonic() - began)
        followed = [await stack.enter_async_context(stream(server, name)) for name in loud]
        await append_to(store, loud, seconds, 1)
        async with asyncio.timeout(seconds + 10):
            for each in followed:
                await each.until(seconds)
        assert all(each.versions == list(range(1, seconds + 1)) for each in followed)
        assert not any(each.versions or each.has_ended for each in silent)
    print(f"{per_stream / 1000:.1f} kB for each idle stream, {share:.1%} of a core")
    assert per_stream < 50_000
    assert share < 0.15


async def test_a_client_that_does_not_read_does_not_hold_up_the_others(
    server: Server, store_url: str
) -> None:
    async with treadle.open_store(store_url) as store:
        await create(store, ["t"])
        with socket.create_connection(("127.0.0.1", server.port)) as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_024)
            request = "GET /v1/threads/t/events?after=0 HTTP/1.1\r\nHost: localhost\r\n"
            deaf.sendall(f"{request}Authorization: Bearer {TOKEN}\r\n\r\n".encode())
            async with stream(server, "t") as other:
                before = server.memory
                for _ in range(100):
                    await store.threads.append("t", Message.user("x" * 100_000))
                async with asyncio.timeout(30):
                    await other.until(100)
                assert server.memory - before < 60_000_000
