"""Streams of a thread: its deltas, its live values, and hints for a page about it."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any, NamedTuple, TypeAlias, cast

import msgspec
from starlette.responses import Response

from treadle.core.codec import encode
from treadle.core.following import LiveValue, RunEnded
from treadle.core.hints import Hint
from treadle.core.limits import PAGE, Bound
from treadle.core.shown_runs import ShownRuns
from treadle.core.thread_queries import ListDeltas
from treadle.core.thread_summaries import LoadThreadSummary
from treadle.errors import InvalidValue, NotFound
from treadle.http._call import Call
from treadle.http._event_stream import EventStream, count_stream, framed
from treadle.http._input import natural_number
from treadle.http._messages import visible_delta
from treadle.http._operation import EVENTS, Operation
from treadle.http._owners import ALL, OWN_THREAD, require_own_thread
from treadle.store.following import as_items
from treadle.store.merging import merged

LAST_EVENT_ID = "last-event-id"
HINT_SECONDS = 0.1
"""Between two hints of a stream; the same hint in between comes once."""


Item: TypeAlias = Hint | LiveValue
"""What makes a stream of a thread go on."""


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Where a stream begins, and what comes in it."""

    after: Bound | None = None
    """The version after which deltas are wanted; without it, and without Last-Event-ID, that at
    which the thread is."""
    live: bool = False
    """Whether live values come, too."""


async def live_values(
    call: Call, thread_id: str, stack: AsyncExitStack
) -> AsyncGenerator[LiveValue]:
    """Begin to follow the live values of a thread, until the stack is closed."""
    values = await stack.enter_async_context(call.store.live.follow(thread_id))
    return as_items(values)


async def _begin(call: Call) -> Response:
    thread_id = call.ids["thread_id"]
    query = cast("EventsQuery", call.query)
    after = _last_event_id(call)
    if after is None:
        after = query.after
    (summary,) = await call.store.read(LoadThreadSummary(thread_id=thread_id))
    if summary is None:
        raise NotFound("thread", thread_id)
    begin = summary.version if after is None else after
    events = _events(call, thread_id, begin, with_live=query.live)
    return EventStream(call, events, count_stream(call))


def _last_event_id(call: Call) -> int | None:
    given = call.request.headers.get(LAST_EVENT_ID)
    if not given:
        return None
    version = natural_number(given)
    if version is None:
        raise InvalidValue("Last-Event-ID", "it must be the id of an event, which is a version")
    return version


async def _events(
    call: Call, thread_id: str, version: int, *, with_live: bool
) -> AsyncGenerator[bytes | None]:
    shown = ShownRuns(thread_id) if with_live else None
    async with AsyncExitStack() as stack:
        sources: list[AsyncGenerator[Item]] = [call.store.changes(thread_id=thread_id)]
        if with_live:
            sources.append(await live_values(call, thread_id, stack))
        items = merged(sources, call.limits.heartbeat_seconds)
        await stack.enter_async_context(aclosing(items))
        async for item in items:
            if isinstance(item, LiveValue):
                if shown is not None:
                    shown.note_live(item.value)
                yield framed(msgspec.json.encode(item.value), event="live")
                continue
            is_idle = item is None and not shown
            if is_idle and await call.thread_checks.is_at(thread_id, version, call.principal.own):
                yield None
                continue
            is_silent = has_more = True
            while has_more:
                news = await _news(call, thread_id, version, shown)
                for event in news.events:
                    is_silent = False
                    yield event
                if news.version is None:
                    return
                version, has_more = news.version, news.has_more
            if item is None and is_silent:
                yield None


class _News(NamedTuple):
    """What has come in a thread after a version, or the first of it."""

    events: list[bytes]
    version: int | None
    """The version after these events; None: the thread is gone."""
    has_more: bool = False
    """More has come already."""


async def _news(call: Call, thread_id: str, version: int, shown: ShownRuns | None) -> _News:
    gone = _News([_deleted(thread_id)], None)
    try:
        deltas, summary, *runs = await call.store.read(
            # A client that was away for long gets what it has missed in pages.
            ListDeltas(thread_id=thread_id, after_version=version, limit=PAGE),
            LoadThreadSummary(thread_id=thread_id),
            *(() if shown is None else shown.queries()),
        )
    except NotFound:
        return gone
    own = call.principal.own
    if summary is None or (own is not None and summary.resource_id != own):
        return gone
    if deltas is None:
        data = msgspec.json.encode({"version": summary.version})
        reset = framed(data, event="reset", event_id=str(summary.version))
        return _News([reset, *_ends(shown, runs)], summary.version)
    internal = call.can("read_internal")
    events: list[bytes] = []
    for delta in deltas:
        data = encode(visible_delta(delta, internal=internal))
        events.append(framed(data, event="delta", event_id=str(delta.version)))
        end = None if shown is None else shown.note_delta(delta)
        if end is not None:
            events.append(_run_ended(end))
    last = deltas[-1].version if deltas else summary.version
    if last >= summary.version:
        events += _ends(shown, runs)
    return _News(events, last, has_more=last < summary.version)


def _ends(shown: ShownRuns | None, runs: Sequence[Any]) -> list[bytes]:
    return [] if shown is None else list(map(_run_ended, shown.ended(runs)))


def _run_ended(end: RunEnded) -> bytes:
    return framed(encode(end), event="run_ended")


def _deleted(thread_id: str) -> bytes:
    return framed(msgspec.json.encode({"thread_id": thread_id}), event="deleted")


async def _begin_hints(call: Call) -> Response:
    thread_id = call.ids["thread_id"]
    changes = call.store.changes(thread_id=thread_id, mailbox_id=thread_id)
    return EventStream(call, _own_hints(call, thread_id, changes), count_stream(call))


async def _own_hints(
    call: Call, thread_id: str, changes: AsyncGenerator[Hint]
) -> AsyncGenerator[bytes | None]:
    """The hints about a thread, until it is no longer the principal's."""
    own = call.principal.own
    async with aclosing(_hints(call, changes)) as hints:
        async for hint in hints:
            if own is not None and hint is not None:
                try:
                    await require_own_thread(call.store, thread_id, own)
                except NotFound:
                    yield _deleted(thread_id)
                    return
            yield hint


async def _begin_all_hints(call: Call) -> Response:
    return EventStream(call, _hints(call, call.store.changes()), count_stream(call))


async def _hints(call: Call, changes: AsyncGenerator[Hint]) -> AsyncGenerator[bytes | None]:
    async with aclosing(merged([changes], call.limits.heartbeat_seconds)) as hints:
        async for hint in hints:
            if hint is None:
                yield None
                continue
            yield framed(encode(hint), event="hint")
            await asyncio.sleep(HINT_SECONDS)


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/threads/{thread_id}/events",
        summary="Follow a thread: its deltas as they come, and its live values.",
        action="read",
        owner=OWN_THREAD,
        query=EventsQuery,
        answers={200: EVENTS},
        headers={"Last-Event-ID": "the version of the last delta that came, to go on after it"},
        handle=_begin,
        details=(
            "`delta`: a change set, with its version as the id. `reset`: the deltas up to a version"
            " are not known; load the thread. `deleted`: nothing follows. `live`: a live value,"
            " which is nowhere kept, and comes to all who may read the thread. With `live` only,"
            " `run_ended`: the turn of a run of which the stream has brought a piece or a delta is"
            " over, whether it has answered, waits, or was stopped or given up (`status`,"
            " `termination_code`). It has no id: after a reconnect, look at the runs of the thread."
        ),
    ),
    Operation(
        method="GET",
        path="/v1/threads/{thread_id}/hints",
        summary="Hear when a thread, one of its runs or its mailbox may have changed.",
        action="read",
        owner=OWN_THREAD,
        answers={200: EVENTS},
        handle=_begin_hints,
        details=(
            "`hint`: what to read again. The first one is `anything`, and comes at once. `deleted`:"
            " the thread is not yours any longer, and nothing follows."
        ),
    ),
    Operation(
        method="GET",
        path="/v1/events",
        summary="Hear what may have changed in the store.",
        action="read",
        owner=ALL,
        answers={200: EVENTS},
        handle=_begin_all_hints,
        details="`hint`: what to read again. The first one is `anything`, and comes at once.",
    ),
)
