"""Requests as they come in, with their headers as the server has them."""

from collections.abc import AsyncGenerator, Sequence

from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope

from treadle.http._errors import Refused
from treadle.http._input import natural_number
from treadle.http._settings import Limits
from treadle.http._timeout import within


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
    """A request to the application.

    Args:
        scope: the scope of the request.
        receive: receives its messages.
        limits: the limits of its body.
    """

    def __init__(self, scope: Scope, receive: Receive, limits: Limits) -> None:
        super().__init__(scope, receive)
        self.given = Headers(scope["headers"])
        """Its headers."""
        self._limits = limits
        self._whole: bytes | None = None
        self._original: Incoming | None = None
        self._is_at_end = False

    def with_headers(self, headers: Sequence[tuple[bytes, bytes]]) -> "Incoming":
        """Return the same request with other headers."""
        other = Incoming({**self.scope, "headers": headers}, self._receive, self._limits)
        other._original = self
        return other

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Yield the body. Starlette reads it by this alone, as `authenticate` may.

        Raises:
            ClientDisconnect: the client has gone.
            Refused: as for `whole`.
        """
        yield await self.whole()
        yield b""

    async def whole(self) -> bytes:
        """Return the body; it is read once.

        Raises:
            ClientDisconnect: the client has gone.
            Refused: it is larger than the limits allow (413), or does not arrive in time (408).
        """
        if self._original is not None:
            return await self._original.whole()
        if self._whole is None:
            self._whole = await self._read_in_time()
        return self._whole

    async def _read_in_time(self) -> bytes:
        most = self._limits.body_bytes
        declared = self.given.first(b"content-length")
        length = 0 if declared is None else natural_number(declared)
        if length is None or length > most:
            raise _too_large(most)
        try:
            data = await within(self._limits.body_seconds, self._read(most))
        except TimeoutError as error:
            reason = "the body did not arrive in time"
            raise Refused(408, "too_slow", reason, closes=True) from error
        if data is None:
            raise _too_large(most)
        return data

    async def _read(self, most: int) -> bytes | None:
        """The body, or None if it has more than `most` bytes."""
        message = await self._part()
        if not message.get("more_body", False):  # most bodies come in one part
            first: bytes = message.get("body", b"")
            return first if len(first) <= most else None
        return await self._read_on(message, most)

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


def _too_large(limit: int) -> Refused:
    return Refused(413, "too_large", f"the body must have at most {limit} bytes", closes=True)


def headers_of(request: Request) -> Headers:
    """Return the headers of any request."""
    return request.given if isinstance(request, Incoming) else Headers(request.scope["headers"])
