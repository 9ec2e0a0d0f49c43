"""What all pages of a thread have in common: its labels, its mailbox, and what waits in it."""

from typing import Any

import msgspec
from starlette.responses import Response

from treadle.clock import system_clock
from treadle.core.mailbox_pauses import is_paused
from treadle.core.mailbox_queries import LoadMailbox
from treadle.core.mailboxes import MailboxState
from treadle.core.queries import Query
from treadle.core.run_queries import SearchRuns
from treadle.core.runs import RunRecord
from treadle.core.thread_summaries import LoadThreadSummary, ThreadSummary
from treadle.errors import NotFound
from treadle.http._call import Call
from treadle.http._dashboard._rendering import render
from treadle.http._dashboard._waiting import Waiting, read_waiting

_ACTIVE = 10
"""Most runs that are shown of those that wait for somebody, and of those that go on."""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """A thread, and what goes on in it."""

    summary: ThreadSummary
    mailbox: MailboxState | None
    is_paused: bool
    waiting: tuple[Waiting, ...]
    """The runs that wait for somebody, those that wait longest."""
    has_more_waiting: bool
    running: tuple[RunRecord, ...]


async def read_thread(call: Call, *queries: Query[Any]) -> tuple[About, *tuple[Any, ...]]:
    """Read the thread that the path names, and answer queries from the same snapshot.

    What its runs wait for is read afterwards.

    Raises:
        NotFound: there is no such thread.
    """
    thread_id = call.ids["thread_id"]
    longest_first = SearchRuns(
        thread_id=thread_id, statuses=("waiting",), by="updated_at", order="asc", limit=_ACTIVE
    )
    summary, mailbox, asking, running, *answers = await call.store.read(
        LoadThreadSummary(thread_id=thread_id),
        LoadMailbox(mailbox_id=thread_id),
        longest_first,
        SearchRuns(thread_id=thread_id, statuses=("running",), limit=_ACTIVE),
        *queries,
    )
    if summary is None:
        raise NotFound("thread", thread_id)
    about = About(
        summary=summary,
        mailbox=mailbox,
        is_paused=is_paused(mailbox, system_clock()),
        waiting=tuple(await read_waiting(call.store, asking.items)),
        has_more_waiting=asking.next_cursor is not None,
        running=running.items,
    )
    return about, *answers


def render_thread(call: Call, template: str, about: About, **values: Any) -> Response:
    """Return a page of the thread."""
    return render(call, template, about=about, thread=about.summary, **values)
