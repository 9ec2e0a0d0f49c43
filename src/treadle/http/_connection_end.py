"""The end of a connection with an answer: what follows is not wanted, or cannot be trusted."""

import asyncio
from contextlib import suppress

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message, Send

from treadle.http._errors import Refused
from treadle.http._incoming import Incoming

_LAST_SECONDS = 0.5
"""How long the rest of a body is read before the connection is closed."""


def check_framing(request: Incoming) -> None:
    """Refuse a request that says in two ways where its body ends.

    A proxy may believe the other one, and would take for a request of this client what another one
    has hidden in its body.

    Raises:
        Refused: with 400.
    """
    given = request.given
    if given.first(b"transfer-encoding") is not None and given.first(b"content-length") is not None:
        reason = "send Content-Length or Transfer-Encoding, and not both"
        raise Refused(400, "ambiguous_length", reason, closes=True)


def closing(request: Incoming, response: Response, send: Send, most: int) -> Send:
    """Let the connection end with a response, and return how to send that.

    A connection that is closed while data come is reset, and then its client may never see the
    answer. So up to `most` bytes of the rest are read first.
    """
    if request.scope["http_version"].startswith("1"):  # later versions have no such header
        response.raw_headers.append((b"connection", b"close"))

    async def send_last(message: Message) -> None:
        if message["type"] != "http.response.body" or message.get("more_body", False):
            await send(message)
            return
        await send({**message, "more_body": True})
        with suppress(TimeoutError, ClientDisconnect):
            async with asyncio.timeout(_LAST_SECONDS):
                await request.discard(most)
        await send({"type": "http.response.body", "body": b""})

    return send_last
