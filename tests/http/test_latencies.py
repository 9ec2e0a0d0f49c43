"""How soon a client sees what a worker does, with the server and the worker in other processes."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import pytest

import treadle
from tests.http.servers import TOKEN, Server, serving, stream
from treadle import Thread

pytestmark = pytest.mark.soak

RUNS = 40


@contextmanager
def working(store_url: str) -> Iterator[None]:
    """Let a worker work during the block."""
    command = [sys.executable, "-m", "treadle", "work", "tests.http.agent:handle"]
    with subprocess.Popen(
        [*command, "--store", store_url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        try:
            assert b"working" in process.stdout.readline()
            yield
        finally:
            process.kill()


async def run(server: Server, thread_id: str, number: int, text: str) -> float:
    """Ask for a run and read it to its end; return when its first live piece came."""
    given = {
        "threadId": thread_id,
        "runId": f"{thread_id}-{number}",
        "messages": [{"id": f"m{number}", "role": "user", "content": text}],
    }
    body = json.dumps(given).encode()
    head = (
        "POST /v1/ag-ui/agents/helper/runs HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head.encode() + body)
    first = 0.0
    while line := await reader.readline():
        if b"_CONTENT" in line and not first:
            first = time.monotonic()
        if b"RUN_FINISHED" in line:
            break
    writer.close()
    return first


async def test_tokens_and_messages_come_within_milliseconds(tmp_path: Path) -> None:
    store_url = f"sqlite:///{tmp_path / 'store.db'}"
    pieces: list[float] = []
    messages: list[float] = []
    with serving(store_url) as server, working(store_url):
        async with treadle.open_store(store_url) as store:
            await store.threads.create(Thread(id="piece", resource_id="alice"))
            await store.threads.create(Thread(id="whole", resource_id="alice"))
            async with stream(server, "whole") as other:
                for number in range(RUNS):
                    began = time.monotonic()
                    pieces.append(await run(server, "piece", number, "hello") - began)
                    began = time.monotonic()
                    asked = asyncio.create_task(run(server, "whole", number, "count"))
                    await other.until(2 * number + 2)  # what the client says is the first
                    messages.append(time.monotonic() - began)
                    await asked
    first, whole = median(pieces) * 1000, median(messages) * 1000
    print(f"first piece {first:.0f} ms, first message at another client {whole:.0f} ms")
    assert first < 30
    assert whole < 60
