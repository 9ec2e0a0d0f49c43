"""The worker of `examples/worker.mjs`, in JavaScript, works for a server in another process."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.support import read_until
from tests.http.test_serving import serving

WORKER = Path(__file__).parents[2] / "examples" / "worker.mjs"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="there is no Node to run the worker")

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    with (
        serving(f"sqlite:///{tmp_path}/agents.db") as (_, url),
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        yield client


@pytest.fixture
def start(client: httpx.Client) -> Iterator[Start]:
    """Return a function that starts a worker."""
    with ExitStack() as stack:

        def begin(*, lease_ms: int = 1_000, work_ms: int) -> "subprocess.Popen[str]":
            child = subprocess.Popen(
                [str(NODE), str(WORKER), str(client.base_url).rstrip("/")],
                env={**os.environ, "LEASE_MS": str(lease_ms), "WORK_MS": str(work_ms)},
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.callback(child.communicate)
            stack.callback(child.kill)
            read_until(child, "works for", "stdout")
            return child

        yield begin


def send(client: httpx.Client, thread: str, text: str) -> str:
    client.post("/v1/threads", json={"id": thread, "if_exists": "keep"})
    sent = client.post(f"/v1/mailboxes/{thread}/entries", json={"payload": {"text": text}})
    return str(sent.json()["entry"]["entry_id"])


def wait_for(client: httpx.Client, found: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    end = time.monotonic() + 30
    while True:
        stats: dict[str, Any] = client.get("/v1/stats").json()
        if found(stats):
            return stats
        assert time.monotonic() < end, stats
        time.sleep(0.05)


def said(client: httpx.Client, thread: str) -> list[str]:
    page = client.get(f"/v1/threads/{thread}/messages").json()
    return [message["content"] for message in page["messages"]]


def test_a_worker_that_is_killed_loses_nothing(client: httpx.Client, start: Start) -> None:
    threads = [f"t{number}" for number in range(8)]
    for thread in threads:
        send(client, thread, thread)
    killed = start(work_ms=10_000)
    wait_for(client, lambda stats: stats["counts"]["claimed"] == 4)
    killed.send_signal(signal.SIGKILL)
    start(work_ms=1)
    stats = wait_for(client, lambda stats: stats["counts"]["accepted"] == len(threads))
    assert stats["counts"]["dead_letter"] == 0
    for thread in threads:
        assert said(client, thread) == [f"You said: {thread}"]


def test_a_worker_that_has_lost_its_lease_writes_nothing(
    client: httpx.Client, start: Start
) -> None:
    stale, count = start(work_ms=300), 0
    while True:
        entry_id, count = send(client, "t", "hi"), count + 1
        wait_for(client, lambda stats: stats["counts"]["queued"] == 0)
        stale.send_signal(signal.SIGSTOP)
        if client.get("/v1/stats").json()["counts"]["claimed"] == 1:
            break
        stale.send_signal(signal.SIGCONT)  # it was faster than this test
    start(work_ms=1)
    wait_for(client, lambda stats: stats["counts"]["accepted"] == count)
    before = client.get("/v1/threads/t").json()
    stale.send_signal(signal.SIGCONT)
    assert entry_id in read_until(stale, "lost", "stdout")
    assert client.get("/v1/threads/t").json() == before
    assert said(client, "t") == ["You said: hi"] * count
