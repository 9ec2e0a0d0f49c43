"""Operations on what is said in a thread: messages, deltas, and changes of them."""

from collections.abc import Iterable
from typing import Literal, cast

import msgspec
from starlette.responses import Response

from treadle.core.codec import Json, SortedModel, always_encoded
from treadle.core.ids import RunId
from treadle.core.limits import Bound, Time
from treadle.core.messages import Message, MessageMetadata, StoredMessage
from treadle.core.pages import Order
from treadle.core.thread_queries import ListDeltas
from treadle.core.thread_summaries import LoadThreadSummary
from treadle.core.threads import ThreadDelta
from treadle.http._call import Call
from treadle.http._errors import Refused
from treadle.http._operation import Operation
from treadle.http._output import answer
from treadle.http._owners import OWN_THREAD


class HistoryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages of a thread are listed."""

    after: Bound | None = None
    """A position; only messages after it."""
    before: Bound | None = None
    """A position; only messages before it."""
    limit: Bound = 50
    """How many at most, clamped to 1..200."""
    order: Order = "asc"


class MessagesQuery(HistoryQuery, frozen=True, kw_only=True):
    """Which messages are listed, and whether internal ones are."""

    visibility: Literal["all", "internal", "none"] = "all"
    """"all" leaves out internal messages, "internal" all others; "none" lists both."""
    run_id: RunId | None = None
    """Only messages of this run."""


class ShownMessage(Message, frozen=True, kw_only=True):
    """A message, its position in the thread, and when it was committed (unix ms)."""

    cursor: int
    committed_at: Time | None = None


class ShownMessages(SortedModel, frozen=True, kw_only=True):
    """A page of messages; `next_cursor` is its last, `prev_cursor` its first position."""

    messages: tuple[ShownMessage, ...] = always_encoded(())
    has_more: bool = always_encoded(False)
    next_cursor: int | None = None
    prev_cursor: int | None = None


class DeltasQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which deltas are listed."""

    after: Bound
    """The version up to which they are known."""
    limit: Bound = 50
    """How many at most, clamped to 1..200."""


class Deltas(SortedModel, frozen=True, kw_only=True):
    """Deltas of a thread, oldest first. For the next ones, pass the version of the last one."""

    items: tuple[ThreadDelta, ...] = always_encoded(())
    has_more: bool = always_encoded(False)


def visible(messages: Iterable[Message], *, internal: bool) -> tuple[Message, ...]:
    """Return messages as tirea shows them: without the ids of their runs.

    Args:
        messages: the messages.
        internal: whether internal messages are shown.
    """
    return tuple(
        msgspec.structs.replace(
            message, metadata=message.metadata and shown_metadata(message.metadata)
        )
        for message in messages
        if internal or message.visibility != "internal"
    )


def shown_metadata(metadata: MessageMetadata) -> MessageMetadata | None:
    """Return the metadata of a message without the id of its run; None if nothing else is there."""
    shown = msgspec.structs.replace(metadata, run_id=None)
    return None if shown == MessageMetadata() else shown


def visible_delta(delta: ThreadDelta, *, internal: bool) -> ThreadDelta:
    """Return a delta; without internal messages and actions, if those are not shown."""
    if internal:
        return delta
    messages = tuple(each for each in delta.changes.messages if each.visibility != "internal")
    changes = msgspec.structs.replace(delta.changes, messages=messages, actions=())
    return msgspec.structs.replace(delta, changes=changes)


async def _list(call: Call) -> Response:
    query = cast("MessagesQuery", call.query)
    if query.visibility != "all":
        call.require("read_internal")
    page = await call.store.threads.list_messages(
        call.ids["thread_id"],
        after=query.after,
        before=query.before,
        limit=query.limit,
        order=query.order,
        visibility=None if query.visibility == "none" else query.visibility,
        run_id=query.run_id,
    )
    shown = ShownMessages(
        messages=tuple(map(_shown, page.messages)),
        has_more=page.has_more,
        next_cursor=page.next_cursor,
        prev_cursor=page.prev_cursor,
    )
    return answer(call, shown)


def _shown(stored: StoredMessage) -> ShownMessage:
    message = stored.message
    return ShownMessage(
        id=message.id,
        role=message.role,
        content=message.content,
        tool_calls=message.tool_calls,
        tool_call_id=message.tool_call_id,
        visibility=message.visibility,
        metadata=message.metadata and shown_metadata(message.metadata),
        extra=message.extra and _without_added(message.extra),
        cursor=stored.cursor,
        committed_at=stored.committed_at,
    )


def _without_added(extra: dict[str, Json]) -> dict[str, Json]:
    return {key: value for key, value in extra.items() if key not in _ADDED}


_ADDED = ("cursor", "committed_at")
"""Fields of a message that another program may have written, and that the page has, too."""


async def _list_deltas(call: Call) -> Response:
    query, thread_id = cast("DeltasQuery", call.query), call.ids["thread_id"]
    deltas, summary = await call.store.read(
        ListDeltas(thread_id=thread_id, after_version=query.after, limit=query.limit),
        LoadThreadSummary(thread_id=thread_id),
    )
    if deltas is None or summary is None:
        reason = "the deltas since this version are not known; load the thread"
        raise Refused(410, "deltas_unknown", reason)
    internal = call.can("read_internal")
    shown = tuple(visible_delta(delta, internal=internal) for delta in deltas)
    has_more = bool(shown) and shown[-1].version < summary.version
    return answer(call, Deltas(items=shown, has_more=has_more))


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/threads/{thread_id}/messages",
        summary="List the messages of a thread, by position.",
        action="read",
        owner=OWN_THREAD,
        query=MessagesQuery,
        answers={200: ShownMessages},
        handle=_list,
        details="Internal messages need the right to `read_internal`.",
    ),
    Operation(
        method="GET",
        path="/v1/threads/{thread_id}/deltas",
        summary="List what was changed in a thread after a version.",
        action="read",
        owner=OWN_THREAD,
        query=DeltasQuery,
        answers={200: Deltas, 410: None},
        handle=_list_deltas,
        details="410: not all of them are known; load the thread.",
    ),
)
