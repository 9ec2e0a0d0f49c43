"""The conversation of a thread, its messages as JSON, and its events for a page that follows it."""

from typing import cast

import msgspec
from starlette.responses import Response

from treadle.clock import new_id
from treadle.core.limits import Bound
from treadle.core.mailbox_queries import SearchEntries
from treadle.core.run_queries import SearchRuns
from treadle.core.thread_queries import ListMessages
from treadle.errors import InvalidValue, NotFound
from treadle.http._call import Call
from treadle.http._dashboard._conversation import conversation
from treadle.http._dashboard._redacted import redacted_message
from treadle.http._dashboard._rendering import raw_redacted
from treadle.http._dashboard._thread_page import read_thread, render_thread
from treadle.http._dashboard._thread_work import agent_in
from treadle.http._operation import Operation
from treadle.http._owners import OWN_THREAD

_PAGE = 40
_LAST = 5
"""How many of the last entries of the mailbox are searched for one that requests a run."""


class MessagesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages are shown."""

    before: Bound | None = None
    """A position; only messages before it."""
    internal: bool = True
    """Whether internal messages are shown, if the principal may read them."""


async def _show(call: Call) -> Response:
    wanted = cast("MessagesQuery", call.query)
    with_internal = call.can("read_internal") and wanted.internal
    thread_id = call.ids["thread_id"]
    about, page, entries, runs = await read_thread(
        call,
        ListMessages(
            thread_id=thread_id,
            before=wanted.before,
            limit=_PAGE,
            order="desc",
            visibility=None if with_internal else "all",
        ),
        SearchEntries(mailbox_id=thread_id, limit=_LAST),
        SearchRuns(thread_id=thread_id, limit=1),
    )
    return render_thread(
        call,
        "thread.html",
        about,
        messages=conversation(reversed(page.messages)),
        wanted=wanted,
        earlier=page.next_cursor if page.has_more else None,
        key=new_id(),
        agent=agent_in(entries, runs),
    )


async def _show_raw_message(call: Call) -> Response:
    thread_id, text = call.ids["thread_id"], call.ids["position"]
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise InvalidValue("position", "it must be the position of a message")
    position = int(text)
    (page,) = await call.store.read(
        ListMessages(
            thread_id=thread_id,
            after=position - 1,
            before=position + 1,
            limit=1,
            visibility=None if call.can("read_internal") else "all",
        )
    )
    if not page.messages:
        raise NotFound("message", text)
    return raw_redacted(redacted_message(call, page.messages[0].message))


OPERATIONS = (
    Operation(
        method="GET",
        path="/threads/{thread_id}",
        summary="Show the conversation of a thread.",
        action="read",
        owner=OWN_THREAD,
        query=MessagesQuery,
        handle=_show,
    ),
    Operation(
        method="GET",
        path="/threads/{thread_id}/messages/{position}",
        summary="Show a message as JSON, all of it.",
        action="read",
        owner=OWN_THREAD,
        handle=_show_raw_message,
    ),
)
