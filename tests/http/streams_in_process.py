"""Clients of streams that call an application in this process, and read its events as they come."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from treadle.http import App

SOON_SECONDS = 5.0


class Event(msgspec.Struct):
    """A server-sent event."""

    data: Any = None
    kind: str | None = None
    id: str | None = None


class Stream:
    """An answer that is being read."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.has_ended = False
        self.reads = asyncio.Event()
        """The client reads only while this is set."""
        self.reads.set()
        self.is_over = asyncio.Event()
        """Set when the application has returned."""
        self._gone = asyncio.Event()
        self._news = asyncio.Event()

    @property
    def events(self) -> list[Event]:
        """The events so far, without comments."""
        assert b"\r" not in self.body
        found: list[Event] = []
        for block in self.body.decode().split("\n\n")[:-1]:
            event = Event()
            for line in block.split("\n"):
                name, _, value = line.partition(": ")
                match name:
                    case "data":
                        event.data = ["DONE"] if value == "[DONE]" else json.loads(value)
                    case "event":
                        event.kind = value
                    case "id":
                        event.id = value
                    case _:
                        continue
            if event != Event():
                found.append(event)
        return found

    async def until(self, is_enough: Callable[["Stream"], bool]) -> None:
        async with asyncio.timeout(SOON_SECONDS):
            while not is_enough(self):
                self._news.clear()
                await self._news.wait()

    async def until_events(self, count: int) -> list[Event]:
        await self.until(lambda stream: len(stream.events) >= count)
        return self.events

    async def until_end(self) -> list[Event]:
        await self.until(lambda stream: stream.has_ended)
        return self.events

    def leave(self) -> None:
        """Close the connection."""
        self._gone.set()

    async def receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        await self.reads.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.body += message["body"]
            self.has_ended = not message.get("more_body", False)
        self._news.set()


@asynccontextmanager
async def streaming(
    app: App,
    path: str,
    *,
    method: str = "GET",
    body: Any = None,
    headers: dict[str, str] | None = None,
) -> AsyncGenerator[Stream]:
    """Make a request, and read its answer during the block; leave at its end."""
    stream = Stream()
    path, _, query = path.partition("?")
    data = b"" if body is None else json.dumps(body).encode()
    given = {"host": "localhost", "content-length": str(len(data)), **(headers or {})}
    if body is not None:
        given["content-type"] = "application/json"
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "client": ("127.0.0.1", 5),
        "server": ("localhost", 80),
    }
    is_read = False

    async def receive() -> dict[str, Any]:
        nonlocal is_read
        if not is_read:
            is_read = True
            return {"type": "http.request", "body": data, "more_body": False}
        return await stream.receive()

    task = asyncio.create_task(app(scope, receive, stream.send))
    task.add_done_callback(lambda _: stream.is_over.set())
    try:
        yield stream
    finally:
        stream.leave()
        stream.reads.set()
        async with asyncio.timeout(SOON_SECONDS):
            await task
