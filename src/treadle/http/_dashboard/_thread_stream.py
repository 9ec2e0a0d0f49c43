"""The events by which an open page follows a thread: what to fetch again, and what is written."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing

import msgspec
from starlette.responses import Response

from treadle.core.following import LiveValue
from treadle.core.live import piece_in
from treadle.http._call import Call, show_all
from treadle.http._event_stream import EventStream, count_stream, framed
from treadle.http._operation import EVENTS, Operation
from treadle.http._owners import OWN_THREAD, require_own_thread
from treadle.http._thread_events import Item, live_values
from treadle.store.merging import merged


async def _begin(call: Call) -> Response:
    return EventStream(call, _events(call, call.ids["thread_id"]), count_stream(call))


async def _events(call: Call, thread_id: str) -> AsyncGenerator[bytes | None]:
    own = call.principal.own
    async with AsyncExitStack() as stack:
        sources: list[AsyncGenerator[Item]] = [
            call.store.changes(thread_id=thread_id, mailbox_id=thread_id)
        ]
        # A hook that redacts sees messages, and no pieces of them: what it would find may be cut.
        if call.redact is show_all:
            sources.append(await live_values(call, thread_id, stack))
        items = merged(sources, call.limits.heartbeat_seconds)
        await stack.enter_async_context(aclosing(items))
        async for item in items:
            if item is None:
                yield None
            elif isinstance(item, LiveValue):
                piece = piece_in(item.value)
                if piece is not None:
                    yield framed(msgspec.json.encode(piece), event="piece")
            else:
                if own is not None:  # it may have got another owner
                    await require_own_thread(call.store, thread_id, own)
                yield framed(b"{}", event="news")


OPERATIONS = (
    Operation(
        method="GET",
        path="/threads/{thread_id}/stream",
        summary="Hear when a page of a thread has news, and what is being written.",
        action="read",
        owner=OWN_THREAD,
        answers={200: EVENTS},
        handle=_begin,
    ),
)
