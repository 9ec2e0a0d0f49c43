"""A served store: the server and a worker in other processes, and clients that read its streams."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

TOKEN = "alice-0123456789abcdef"


class Server:
    """A server in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self._process = process
        self._files = Path(f"/proc/{process.pid}")
        self.port = port

    @property
    def memory(self) -> int:
        """The bytes of memory that it has, and shares with nobody."""
        lines = (self._files / "smaps_rollup").read_text().splitlines()
        private = [line.split() for line in lines if line.startswith("Private")]
        return sum(int(kilobytes) * 1024 for _, kilobytes, _ in private)

    @property
    def processor_seconds(self) -> float:
        """How long it has kept a core busy."""
        fields = (self._files / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> float:
        """Ask it to stop; return after how many seconds it has."""
        started = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)
        return time.monotonic() - started


@contextmanager
def serving(store_url: str) -> Iterator[Server]:
    """Serve a store during the block."""
    command = [sys.executable, "-m", "benchmarks.stream_server", store_url, TOKEN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            yield Server(process, int(address.rpartition(":")[2]))
        finally:
            process.kill()


@contextmanager
def working(store_url: str) -> Iterator[None]:
    """Let a worker work during the block."""
    command = [sys.executable, "-m", "benchmarks.stream_worker", store_url]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            process.kill()


class Stream:
    """A connection that reads a stream of events."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self.versions: list[int] = []
        self.has_ended = False
        self._news = asyncio.Event()
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while line := await self._reader.readline():
            if line.startswith(b"id: "):
                self.versions.append(int(line[4:]))
                self._news.set()
        self.has_ended = True

    async def until(self, version: int) -> None:
        """Return once the event of a version has come."""
        while not self.versions or self.versions[-1] < version:
            self._news.clear()
            await self._news.wait()


@asynccontextmanager
async def stream(server: Server, thread_id: str) -> AsyncGenerator[Stream]:
    """Follow a thread during the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=2**20)
    try:
        writer.write(_head("GET", f"/v1/threads/{thread_id}/events"))
        answer = await reader.readuntil(b"retry: 1000")
        assert b" 200 OK" in answer
        followed = Stream(reader)
        try:
            yield followed
        finally:
            followed.task.cancel()
    finally:
        writer.close()


async def ask(server: Server, thread_id: str, number: int) -> float:
    """Request a run, and read its events to the end; return when its first live token came."""
    asked = {
        "threadId": thread_id,
        "runId": f"{thread_id}-{number}",
        "messages": [{"id": f"m{number}", "role": "user", "content": "hello"}],
    }
    body = json.dumps(asked).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(_head("POST", "/v1/ag-ui/agents/helper/runs", len(body)) + body)
    first = 0.0
    while line := await reader.readline():
        if b"_CONTENT" in line and not first:
            first = time.monotonic()
        if b"RUN_FINISHED" in line:
            break
    writer.close()
    return first


def _head(method: str, path: str, length: int = 0) -> bytes:
    """The head of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {TOKEN}"]
    if length:
        lines += ["Content-Type: application/json", f"Content-Length: {length}"]
    return "\r\n".join([*lines, "", ""]).encode()
