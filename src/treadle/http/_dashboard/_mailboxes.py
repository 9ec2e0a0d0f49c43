"""The list of mailboxes."""

from typing import cast

import msgspec
from starlette.responses import Response

from treadle.core.mailbox_queries import ListMailboxSummaries, MailboxKey
from treadle.core.pages import Order
from treadle.http._call import Call
from treadle.http._dashboard._rendering import render
from treadle.http._operation import Operation
from treadle.http._owners import ALL

_PAGE = 50
_COUNTED = 100
"""How far the entries of each mailbox are counted."""


class MailboxList(msgspec.Struct, frozen=True, kw_only=True):
    """How mailboxes are listed."""

    by: MailboxKey = "updated_at"
    after: str | None = None
    """The cursor of the page before."""


async def _list(call: Call) -> Response:
    wanted = cast("MailboxList", call.query)
    order: Order = "asc" if wanted.by == "id" else "desc"
    listing = ListMailboxSummaries(
        by=wanted.by, order=order, after=wanted.after, limit=_PAGE, counted=_COUNTED
    )
    (page,) = await call.store.read(listing)
    return render(call, "mailboxes.html", wanted=wanted, page=page, counted=_COUNTED)


OPERATIONS = (
    Operation(
        method="GET",
        path="/mailboxes",
        summary="List mailboxes, with their holders and the number of their entries.",
        action="read",
        owner=ALL,
        query=MailboxList,
        handle=_list,
    ),
)
