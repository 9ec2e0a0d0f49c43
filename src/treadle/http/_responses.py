"""Responses: JSON, or nothing, with the headers that every answer of the API has."""

import re
from collections.abc import Mapping
from urllib.parse import quote

from starlette.responses import Response

SAFE_HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
"""The headers of every answer of the API."""


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


_JSON_HEADERS = _encoded({**SAFE_HEADERS, "content-type": "application/json"})


class JsonResponse(Response):
    """A response that holds JSON. Its headers are encoded once, and not for each response.

    Args:
        body: the JSON.
        status: the status.
        headers: further headers, whose names are in lower case.
    """

    def __init__(
        self, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        # Not the base's: it would encode all headers.
        self.body = body
        self.status_code = status
        self.background = None
        self.raw_headers = [*_JSON_HEADERS, (b"content-length", b"%d" % len(body))]
        if headers:
            self.raw_headers += _encoded(headers)


def no_content() -> Response:
    """Return the response to a call that has nothing to say."""
    return Response(b"", 204, SAFE_HEADERS)


_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")


def in_path(id: str) -> str:
    """Return an id as a segment of a path."""
    return id if _PLAIN.fullmatch(id) else quote(id, safe="")
