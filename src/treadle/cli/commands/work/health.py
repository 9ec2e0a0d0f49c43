"""`treadle work --healthz PORT`: says over HTTP whether the worker reaches its store."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

from treadle.cli.terminal.failure import Failure

_REQUEST_SECONDS = 5.0
_REQUEST_BYTES = 8_192


@asynccontextmanager
async def serving_health(
    port: int | None, failing: Callable[[], Mapping[str, object]]
) -> AsyncGenerator[None]:
    """Answer `GET /healthz` within the block: 200 if nothing is `failing`, else 503.

    The answer names the operations that fail. It has no errors, which may name hosts.

    Args:
        port: the port, on all interfaces; None serves nothing.
        failing: returns the operations that fail now.

    Raises:
        Failure: the port cannot be used.
    """
    if port is None:
        yield
        return

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_response(head, failing()))
                await writer.drain()
        writer.close()

    try:
        server = await asyncio.start_server(answer, port=port, limit=_REQUEST_BYTES)
    except OSError as error:
        raise Failure(f"cannot serve /healthz at port {port}: {error}") from error
    try:
        yield
    finally:
        server.close()


def _response(head: bytes, failing: Mapping[str, object]) -> bytes:
    method, _, rest = head.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if method not in (b"GET", b"HEAD") or path != b"/healthz":
        status, body = "404 Not Found", "only GET /healthz is here\n"
    elif failing:
        names = ", ".join(sorted(failing))
        status, body = "503 Service Unavailable", f"the store fails at: {names}\n"
    else:
        status, body = "200 OK", "ok\n"
    lines = (
        f"HTTP/1.1 {status}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
    )
    text = "\r\n".join(lines) + "\r\n\r\n"
    return (text + ("" if method == b"HEAD" else body)).encode()
