"""Requests as they come in, with their headers as the server has them."""

from collections.abc import AsyncGenerator, Sequence

from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope


class Headers:
    """The headers of a request. Starlette's mapping decodes all of their names at each look.

    Args:
        pairs: the headers, with names in lower case.
    """

    __slots__ = ("_last", "_pairs")

    def __init__(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        self._pairs = pairs
        self._last = dict(pairs)

    def first(self, name: bytes) -> str | None:
        """Return the first value of a header; None if there is none."""
        value = self._last.get(name)
        if value is None:
            return None
        if len(self._last) < len(self._pairs):  # one of them comes twice
            return self.all(name)[0]
        return value.decode("latin-1")

    def all(self, name: bytes) -> list[str]:
        """Return the values of a header, in their order."""
        value = self._last.get(name)
        if value is None:
            return []
        if len(self._last) < len(self._pairs):
            return [each.decode("latin-1") for key, each in self._pairs if key == name]
        return [value.decode("latin-1")]


class Incoming(Request):
    """A request to the application."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        super().__init__(scope, receive)
        self.given = Headers(scope["headers"])
        """Its headers."""
        self._is_streamed = False
        self._is_at_end = False

    def stream(self) -> AsyncGenerator[bytes, None]:
        """Return the parts of the body; Starlette reads it by this alone."""
        self._is_streamed = True
        return super().stream()

    async def read(self, most: int) -> bytes | None:
        """Return the body, or None if it has more than `most` bytes.

        `authenticate` may have read it, such as to verify a signature.

        Raises:
            ClientDisconnect: the client has gone.
        """
        if not self._is_streamed:
            message = await self._part()
            if not message.get("more_body", False):  # most bodies come in one part
                first: bytes = message.get("body", b"")
                return first if len(first) <= most else None
            return await self._read_on(message, most)
        data = bytearray()
        async for part in self.stream():
            data += part
            if len(data) > most:
                return None
        return bytes(data)

    async def _read_on(self, message: Message, most: int) -> bytes | None:
        data = bytearray(message.get("body", b""))
        while len(data) <= most:
            if not message.get("more_body", False):
                return bytes(data)
            message = await self._part()
            data += message.get("body", b"")
        return None

    async def discard(self, most: int) -> None:
        """Read what is left of the body, as long as it has at most `most` bytes.

        Raises:
            ClientDisconnect: the client has gone.
        """
        left = most
        while left >= 0 and not self._is_at_end:
            left -= len((await self._part()).get("body", b""))

    async def _part(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        self._is_at_end = not message.get("more_body", False)
        return message


def headers_of(request: Request) -> Headers:
    """Return the headers of any request."""
    return request.given if isinstance(request, Incoming) else Headers(request.scope["headers"])
