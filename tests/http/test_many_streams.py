"""Many streams of one server process: none loses an event, and idle ones cost next to nothing."""

import asyncio
import socket
from pathlib import Path

import pytest
from benchmarks.served import TOKEN, serving, stream
from benchmarks.workloads.streams import latencies, many_streams

import treadle
from treadle import Message, Thread

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="Linux says what a process uses"
)


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.mark.parametrize(
    ("idle", "busy", "rounds"),
    [(100, 20, 2), pytest.param(2_000, 200, 60, marks=pytest.mark.soak)],
)
async def test_no_stream_loses_an_event_and_idle_ones_cost_little(
    store_url: str, idle: int, busy: int, rounds: int
) -> None:
    async with treadle.open_store(store_url) as store:
        measured = await many_streams(store, store_url, idle, busy, rounds)
    assert measured["lost"] == 0
    assert measured["kilobytes"] < 50
    assert measured["idle"] < 15


@pytest.mark.soak
async def test_tokens_and_messages_come_within_milliseconds(store_url: str) -> None:
    async with treadle.open_store(store_url) as store:
        measured = await latencies(store, store_url, 40)
    assert measured["token"] < 30
    assert measured["message"] < 60


async def test_a_client_that_does_not_read_does_not_hold_up_the_others(store_url: str) -> None:
    async with treadle.open_store(store_url) as store:
        await store.threads.create(Thread(id="t", resource_id="alice"))
        with (
            serving(store_url) as server,
            socket.create_connection(("127.0.0.1", server.port)) as deaf,
        ):
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_024)
            request = "GET /v1/threads/t/events?after=0 HTTP/1.1\r\nHost: localhost\r\n"
            deaf.sendall(f"{request}Authorization: Bearer {TOKEN}\r\n\r\n".encode())
            async with stream(server, "t") as other:
                before = server.memory
                for _ in range(100):
                    await store.threads.append("t", Message.user("x" * 100_000))
                async with asyncio.timeout(120):
                    await other.until(100)
                assert server.memory - before < 60_000_000
