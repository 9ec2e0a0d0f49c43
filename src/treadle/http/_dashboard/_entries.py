"""The list of entries, by what they wait for."""

from typing import cast

from starlette.responses import Response

from treadle.http._call import Call
from treadle.http._dashboard._entry_filters import EntryFilters, search
from treadle.http._dashboard._rendering import render
from treadle.http._operation import Operation
from treadle.http._owners import ALL

_PAGE = 50


async def _list(call: Call) -> Response:
    wanted = cast("EntryFilters", call.query)
    (page,) = await call.store.read(search(wanted, _PAGE))
    return render(call, "entries.html", wanted=wanted, page=page)


OPERATIONS = (
    Operation(
        method="GET",
        path="/entries",
        summary="List the entries of all mailboxes.",
        action="read",
        owner=ALL,
        query=EntryFilters,
        handle=_list,
    ),
)
