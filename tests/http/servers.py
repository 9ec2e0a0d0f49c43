"""A server in a process of its own, and connections to it that read streams of events."""

import asyncio
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
    command = [sys.executable, "-m", "tests.http.server_process", store_url, TOKEN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            yield Server(process, int(address.rpartition(":")[2]))
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
    request = (
        f"GET /v1/threads/{thread_id}/events HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {TOKEN}\r\n\r\n"
    )
    writer.write(request.encode())
    answer = await reader.readuntil(b"retry: 1000")
    assert b" 200 OK" in answer
    followed = Stream(reader)
    try:
        yield followed
    finally:
        followed.task.cancel()
        writer.close()
