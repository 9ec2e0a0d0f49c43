"""The operation that serves the files that pages load."""

import msgspec
from starlette.responses import Response

from treadle.errors import NotFound
from treadle.http._call import Call
from treadle.http._dashboard._rendering import PAGE_HEADERS
from treadle.http._dashboard._static_files import STATIC_FILES
from treadle.http._operation import Operation
from treadle.http._owners import PUBLIC

_FOREVER = "public, max-age=31536000, immutable"


class StaticQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which version of a file is meant."""

    v: str | None = None


async def _serve(call: Call) -> Response:
    name = call.ids["name"]
    file = STATIC_FILES.get(name)
    if file is None:
        raise NotFound("file", name)
    is_current = call.query.v == file.version
    caching = _FOREVER if is_current else "no-cache"
    return Response(file.data, 200, {**PAGE_HEADERS, "cache-control": caching}, file.type)


OPERATIONS = (
    Operation(
        method="GET",
        path="/static/{name}",
        summary="Serve a file that pages load.",
        action=None,
        owner=PUBLIC,
        query=StaticQuery,
        handle=_serve,
    ),
)
