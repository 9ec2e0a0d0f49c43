"""Responses: JSON, or nothing, with the headers that every answer of the API has."""

from collections.abc import Mapping

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
        length = (b"content-length", b"%d" % len(body))
        self.raw_headers = [*_JSON_HEADERS, length, *_encoded(headers or {})]


def no_content() -> Response:
    """Return the response to a call that has nothing to say."""
    return Response(b"", 204, SAFE_HEADERS)
