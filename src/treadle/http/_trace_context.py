"""The trace that a request belongs to, by its headers: it goes on in the entry that it sends."""

import re
from collections.abc import Mapping

from treadle.core.limits import HEADER_VALUE
from treadle.http._incoming import Incoming

_PARENT = re.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
"""A `traceparent`, of any version of W3C Trace Context."""


def trace_headers(request: Incoming) -> dict[str, str]:
    """Return the headers of a request that name its trace; empty if they name none.

    As W3C Trace Context wants it, what cannot be read is left out, and refuses nothing.
    """
    given = request.given.all(b"traceparent")
    if len(given) != 1 or len(given[0]) > HEADER_VALUE or not _PARENT.fullmatch(given[0]):
        return {}
    state = ",".join(request.given.all(b"tracestate"))
    if state and state.isascii() and state.isprintable() and len(state) <= HEADER_VALUE:
        return {"traceparent": given[0], "tracestate": state}
    return {"traceparent": given[0]}


def with_trace(request: Incoming, headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of an entry, with the trace of the request if they name none."""
    if "traceparent" in headers:
        return dict(headers)
    return {**trace_headers(request), **headers}
