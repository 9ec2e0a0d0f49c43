"""The page of a thread: its conversation."""

from typing import cast

import msgspec
from starlette.responses import Response

from treadle.core.codec import to_plain
from treadle.core.heads import LoadHead, ThreadSummary
from treadle.core.limits import Bound
from treadle.core.thread_queries import ListMessages
from treadle.errors import InvalidValue, NotFound
from treadle.http._call import Call
from treadle.http._dashboard._conversation import conversation
from treadle.http._dashboard._rendering import raw, render
from treadle.http._operation import Operation
from treadle.http._owners import OWN_THREAD

_PAGE = 40


class MessagesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages are shown."""

    before: Bound | None = None
    """A position; only messages in front of it."""
    internal: bool = True
    """Whether internal messages are shown, to who may read them."""


async def _show(call: Call) -> Response:
    thread_id, wanted = call.ids["thread_id"], cast("MessagesQuery", call.query)
    with_internal = call.can("read_internal") and wanted.internal
    head, page = await call.store.read(
        LoadHead(thread_id=thread_id),
        ListMessages(
            thread_id=thread_id,
            before=wanted.before,
            limit=_PAGE,
            order="desc",
            visibility=None if with_internal else "all",
        ),
    )
    messages = conversation(reversed(page.messages))
    return render(
        call,
        "thread.html",
        head=required(head, thread_id),
        messages=messages,
        wanted=wanted,
        earlier=page.next_cursor if page.has_more else None,
    )


def required(head: ThreadSummary | None, thread_id: str) -> ThreadSummary:
    """Return the head of a thread.

    Raises:
        NotFound: there is no such thread.
    """
    if head is None:
        raise NotFound("thread", thread_id)
    return head


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
    return raw(call, "message", to_plain(page.messages[0].message))


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
