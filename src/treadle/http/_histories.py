"""The messages of a thread, as clients of AG-UI and of the AI SDK have them."""

from collections.abc import Callable, Iterable
from typing import cast

import msgspec
from starlette.responses import Response

from treadle.core.codec import Json, Model
from treadle.core.messages import Message
from treadle.http import _ag_ui_messages, _ai_sdk_messages
from treadle.http._call import Call
from treadle.http._handlers import Handle
from treadle.http._messages import HistoryQuery
from treadle.http._operation import Operation
from treadle.http._output import answer
from treadle.http._owners import OWN_THREAD


class History(Model, frozen=True, kw_only=True):
    """A page of messages in the form of a protocol; the cursors are positions in the thread."""

    messages: tuple[Json, ...]
    has_more: bool
    next_cursor: int | None = None
    prev_cursor: int | None = None


def _listed(write: Callable[[Iterable[Message]], Iterable[Json]]) -> Handle:
    async def handle(call: Call) -> Response:
        query = cast("HistoryQuery", call.query)
        page = await call.store.threads.list_messages(
            call.ids["thread_id"],
            after=query.after,
            before=query.before,
            limit=query.limit,
            order=query.order,
        )
        named = (
            each.message
            if each.message.id
            else msgspec.structs.replace(each.message, id=f"message-{each.cursor}")
            for each in page.messages
        )
        shown = History(
            messages=tuple(write(named)),
            has_more=page.has_more,
            next_cursor=page.next_cursor,
            prev_cursor=page.prev_cursor,
        )
        return answer(call, shown)

    return handle


def _ag_ui(messages: Iterable[Message]) -> Iterable[Json]:
    return map(_ag_ui_messages.written, messages)


OPERATIONS = tuple(
    Operation(
        method="GET",
        path=f"/v1/{protocol}/threads/{{thread_id}}/messages",
        summary=f"List the messages of a thread as {name} has them.",
        action="read",
        owner=OWN_THREAD,
        query=HistoryQuery,
        answers={200: History},
        handle=_listed(write),
    )
    for protocol, name, write in (
        ("ag-ui", "AG-UI", _ag_ui),
        ("ai-sdk", "the AI SDK", _ai_sdk_messages.written),
    )
)
