"""The first page: what waits for a human, what is stuck, and what has changed last."""

import msgspec
from starlette.responses import Response

from treadle.core.heads import ListHeads
from treadle.core.mailbox_queries import SearchEntries
from treadle.core.run_queries import SearchRuns
from treadle.http._call import Call
from treadle.http._dashboard._rendering import render
from treadle.http._operation import Operation
from treadle.http._owners import FILTERED

_SHOWN = 8
"""How many of a kind are listed."""


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Whose things are shown."""

    resource_id: str | None = None


async def _show(call: Call) -> Response:
    owner = call.query.resource_id
    waiting, running, threads = await call.store.read(
        SearchRuns(statuses=("waiting",), by="updated_at", resource_id=owner, limit=_SHOWN),
        SearchRuns(statuses=("running",), by="updated_at", resource_id=owner, limit=_SHOWN),
        ListHeads(by="updated_at", order="desc", resource_id=owner, limit=_SHOWN),
    )
    stuck = None
    if call.principal.own is None:  # entries have no owner to be found by
        (stuck,) = await call.store.read(SearchEntries(statuses=("dead_letter",), limit=_SHOWN))
    return render(
        call, "overview.html", waiting=waiting, running=running, threads=threads, stuck=stuck
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/",
        summary="Show what waits for a human, and what is stuck.",
        action="read",
        owner=FILTERED,
        query=Overview,
        handle=_show,
    ),
)
