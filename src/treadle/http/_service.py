"""Operations on the server itself: its health and its description."""

from starlette.responses import Response

from treadle.core.mailbox_queries import LoadMailbox
from treadle.http._call import Call
from treadle.http._errors import SAFE_HEADERS
from treadle.http._operation import Operation
from treadle.http._owners import PUBLIC


async def _is_up(call: Call) -> Response:
    return Response(b"", 200, SAFE_HEADERS)


async def _is_ready(call: Call) -> Response:
    await call.store.read(LoadMailbox(mailbox_id="health"))
    return Response(b"", 200, SAFE_HEADERS)


OPERATIONS = (
    Operation(
        method="GET",
        path="/health",
        summary="Say that the server runs.",
        action=None,
        owner=PUBLIC,
        answers={200: None},
        handle=_is_up,
    ),
    Operation(
        method="GET",
        path="/health/ready",
        summary="Say that the store can be read; 503 if not.",
        action=None,
        owner=PUBLIC,
        answers={200: None},
        handle=_is_ready,
    ),
)
