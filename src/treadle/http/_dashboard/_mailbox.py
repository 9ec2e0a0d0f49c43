"""The page of a mailbox: what waits in it, who holds it, and whether it is paused."""

import msgspec
from starlette.responses import Response

from treadle.clock import new_id
from treadle.core.entry_groups import CountGroups, EntryGroup
from treadle.core.limits import Priority, Time
from treadle.core.mailbox_pauses import is_paused
from treadle.core.mailbox_queries import LoadMailbox, SearchEntries, latest_claim
from treadle.core.thread_summaries import LoadThreadSummary
from treadle.http._call import Call
from treadle.http._dashboard._entry_filters import COUNTED, EntryFilters, search
from treadle.http._dashboard._rendering import render
from treadle.http._operation import Operation
from treadle.http._output import shown_entry
from treadle.http._owners import OWN_MAILBOX

_PAGE = 25
_CLAIMED = 50
"""How many claimed entries are looked at for the holder."""


class MailboxQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which of its entries are shown."""

    tab: EntryGroup | None = None
    after: str | None = None
    """The cursor of the page before."""


class SendForm(msgspec.Struct, frozen=True, kw_only=True):
    """Work for a mailbox."""

    text: str = ""
    """An object of JSON, or else a text."""
    delay_s: Time = 0
    """In how many seconds it is due."""
    priority: Priority = 0
    dedupe_key: str | None = None
    """Made with the form, so that a form that is sent twice sends once."""


async def show_mailbox(
    call: Call, *, draft: SendForm | None = None, mistake: str | None = None
) -> Response:
    """Return the page of the mailbox that a call is about.

    Args:
        call: the call.
        draft: the form with which somebody wanted to send something.
        mistake: why that could not be sent.
    """
    mailbox_id = call.ids["mailbox_id"]
    wanted = call.query if isinstance(call.query, MailboxQuery) else MailboxQuery()
    summary, state, counts, page, claimed, queued = await call.store.read(
        LoadThreadSummary(thread_id=mailbox_id),
        LoadMailbox(mailbox_id=mailbox_id),
        CountGroups(mailbox_id=mailbox_id, limit=COUNTED),
        _search(mailbox_id, wanted),
        SearchEntries(mailbox_id=mailbox_id, statuses=("claimed",), limit=_CLAIMED),
        SearchEntries(mailbox_id=mailbox_id, by="available_at", order="asc", limit=1),
    )
    return render(
        call,
        "mailbox.html",
        200 if mistake is None else 400,
        mailbox_id=mailbox_id,
        has_thread=summary is not None,
        state=state,
        counts=counts,
        page=page,
        entries=[shown_entry(entry, internal=call.can("read_internal")) for entry in page.items],
        wanted=wanted,
        held=latest_claim(claimed.items),
        next_due=queued.items[0].available_at if queued.items else None,
        is_paused=is_paused(state, counts.at),
        now=counts.at,
        draft=draft,
        mistake=mistake,
        new_key=f"dashboard-{new_id()}",
    )


def _search(mailbox_id: str, wanted: MailboxQuery) -> SearchEntries:
    if wanted.tab is None:
        return SearchEntries(mailbox_id=mailbox_id, after=wanted.after, limit=_PAGE)
    filters = EntryFilters(tab=wanted.tab, mailbox_id=mailbox_id, after=wanted.after)
    return search(filters, _PAGE)


OPERATIONS = (
    Operation(
        method="GET",
        path="/mailboxes/{mailbox_id}",
        summary="Show what waits in a mailbox, who holds it, and whether it is paused.",
        action="read",
        owner=OWN_MAILBOX,
        query=MailboxQuery,
        handle=show_mailbox,
    ),
)
