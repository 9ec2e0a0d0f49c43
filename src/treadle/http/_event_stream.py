"""Server-sent events: how they are framed, and the answer that sends them as they come.

Lines end with LF only: AG-UI's client reads no others. A comment now and then keeps proxies from
taking the stream for dead. A client that does not read is cut off, and one that goes away ends
nothing but its stream.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from treadle.http._call import Call
from treadle.http._errors import answer_to
from treadle.http._operation import EVENTS
from treadle.http._responses import SAFE_HEADERS

_log = logging.getLogger("treadle.http")

_HEADERS = {
    **SAFE_HEADERS,
    "content-type": EVENTS,
    # nginx would keep events until its buffer is full
    "x-accel-buffering": "no",
}
_COMMENT = b":\n\n"
_RETRY = b"retry: 1000\n\n"
_LAST_SECONDS = 0.1
"""How long a server that stops waits for a client to take the end of its stream."""


def framed(data: bytes, *, event: str | None = None, event_id: str | None = None) -> bytes:
    """Return an event.

    Args:
        data: JSON on one line.
        event: its kind; None: an event without a name, as protocols of others have it.
        event_id: what a client sends as Last-Event-ID to go on after this event.
    """
    head = b"" if event_id is None else b"id: %b\n" % event_id.encode()
    if event is not None:
        head += b"event: %b\n" % event.encode()
    return head + b"data: %b\n\n" % data


def count_stream(call: Call) -> AsyncExitStack:
    """Count a stream of the principal, until the stack is closed.

    Raises:
        Refused: with 503 if the server stops, or with 429 if there are too many.
    """
    stack = AsyncExitStack()
    stack.enter_context(call.streams.counted(call.principal.id, call.limits))
    return stack


class EventStream(Response):
    """An answer that sends events until they end, its client goes away, or the server stops.

    Close it, whether its events were sent or not.

    Args:
        call: the call that is answered.
        events: the framed events; None is a moment at which nothing has come for long.
        stack: what is closed with the stream, `count_stream` and what the events need.
        headers: further headers.
    """

    def __init__(
        self,
        call: Call,
        events: AsyncGenerator[bytes | None],
        stack: AsyncExitStack,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        # Not the base's: it would declare a length.
        self.status_code = 200
        self.background = None
        self._call = call
        self._events = events
        self._stack = stack
        self.init_headers({**_HEADERS, **(headers or {})})

    async def close(self) -> None:
        """Release what the events need."""
        await self._stack.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        writing = asyncio.create_task(self._write(send))
        leaving = asyncio.create_task(_until_gone(receive))
        try:
            await self._until_over(writing, leaving)
        except BaseException:
            await _cancelled(writing, leaving)
            raise
        is_gone = leaving.done()
        is_slow = await _cancelled(writing, leaving)
        if not is_slow and not is_gone:
            is_slow = not await self._has_ended(send)
        if is_slow:
            self._call.streams.cut_off += 1
            _log.warning("a client of a stream has not read for too long, and is cut off")

    async def _has_ended(self, send: Send) -> bool:
        """Send the end of the answer; return False if the client is too slow."""
        is_stopping = self._call.streams.are_ended
        seconds = _LAST_SECONDS if is_stopping else self._call.limits.write_seconds
        try:
            async with asyncio.timeout(seconds):
                await send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            return False
        return True

    async def _until_over(
        self, writing: "asyncio.Task[bool]", leaving: "asyncio.Task[None]"
    ) -> None:
        with self._call.streams.ended_by(writing.cancel):
            await asyncio.wait(
                {writing, leaving},
                timeout=self._call.limits.stream_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )

    async def _write(self, send: Send) -> bool:
        """Send all events; return True if the client is too slow."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        try:
            await self._send(send, start)
            await self._send(send, _body(_RETRY))
            async with aclosing(self._events) as events:
                async for event in _guarded(events):
                    await self._send(send, _body(_COMMENT if event is None else event))
        except TimeoutError:
            return True
        return False

    async def _send(self, send: Send, message: Message) -> None:
        async with asyncio.timeout(self._call.limits.write_seconds):
            await send(message)


async def _guarded(events: AsyncGenerator[bytes | None]) -> AsyncGenerator[bytes | None]:
    """Yield events; an error is the last one, as the start of the answer is sent already."""
    try:
        async for event in events:
            yield event
    except Exception as error:
        yield framed(bytes(answer_to(error).body), event="error")


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancelled(writing: "asyncio.Task[bool]", leaving: "asyncio.Task[None]") -> bool:
    """End both; return whether the client was too slow."""
    writing.cancel()
    leaving.cancel()
    slow, _ = await asyncio.gather(writing, leaving, return_exceptions=True)
    if isinstance(slow, Exception):
        raise slow
    return slow is True


def _body(data: bytes) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": True}
