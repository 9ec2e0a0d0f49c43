"""Requests to an ASGI application in this process."""

from collections.abc import Iterable
from typing import Any


async def request(
    app: Any,
    method: str,
    path: str,
    query: str = "",
    body: bytes = b"",
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> bytes:
    """Make a request, and return the body of its answer, which must be a success."""
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"localhost"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    found = b""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal found
        if message["type"] == "http.response.start":
            assert message["status"] < 300, (path, query, message["status"])
        found += message.get("body", b"")

    await app(scope, receive, send)
    return found
