"""The tabs of a thread beside its conversation: state, runs, mailbox, deltas, raw."""

from collections.abc import Sequence
from typing import cast

import msgspec
from starlette.responses import Response

from treadle.core.limits import Bound
from treadle.core.mailbox_queries import SearchEntries
from treadle.core.run_queries import LoadRun, SearchRuns
from treadle.core.run_requests import record_of, request_in
from treadle.core.runs import RunRecord
from treadle.core.thread_queries import ListDeltas
from treadle.core.threads import ThreadDelta
from treadle.errors import NotFound, PatchError
from treadle.http._call import Call
from treadle.http._dashboard._redacted import redacted_metadata, redacted_thread
from treadle.http._dashboard._rendering import raw_redacted
from treadle.http._dashboard._thread_page import read_thread, render_thread
from treadle.http._messages import visible_delta
from treadle.http._operation import Operation
from treadle.http._output import shown_entry
from treadle.http._owners import OWN_THREAD

_PAGE = 25


class StateQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which state is shown."""

    version: Bound | None = None
    """That at this version; the present is the default."""


class PageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of a list is shown."""

    after: str | None = None
    """The cursor of the page before."""


class DeltasQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which deltas are shown."""

    before: Bound | None = None
    """A version; only those before it."""


async def _show_state(call: Call) -> Response:
    wanted = cast("StateQuery", call.query).version
    about, *_ = await read_thread(call)
    found = await call.store.threads.load(about.summary.id, version=wanted)
    state, error = None, None
    if found is not None:
        try:
            state = await call.rebuilding.state_of(found.thread)
        except PatchError as refused:
            state, error = found.thread.state, str(refused)
    deltas = await _newest_deltas(call, about.summary.version)
    changes = [each for each in deltas if each.changes.patches or each.changes.snapshot is not None]
    return render_thread(
        call,
        "thread_state.html",
        about,
        is_known=found is not None,
        state=state,
        error=error,
        version=about.summary.version if wanted is None else wanted,
        changes=changes,
    )


async def _show_runs(call: Call) -> Response:
    query = cast("PageQuery", call.query)
    about, page = await read_thread(
        call, SearchRuns(thread_id=call.ids["thread_id"], after=query.after, limit=_PAGE)
    )
    requested = await _not_begun(call) if query.after is None else []
    return render_thread(
        call, "thread_runs.html", about, page=page, requested=requested, after=query.after
    )


async def _not_begun(call: Call) -> list[RunRecord]:
    """The runs that are requested in the thread's mailbox, and that have no record yet."""
    (found,) = await call.store.read(
        SearchEntries(
            mailbox_id=call.ids["thread_id"],
            statuses=("queued", "claimed"),
            order="asc",
            limit=_PAGE,
        )
    )
    asked = [(entry, request_in(entry)) for entry in found.items]
    records = [record_of(each, entry.entry_id) for entry, each in asked if each is not None]
    if not records:
        return []
    known = await call.store.read(*(LoadRun(run_id=each.run_id) for each in records))
    return [each for each, run in zip(records, known, strict=True) if run is None]


async def _show_mailbox(call: Call) -> Response:
    query = cast("PageQuery", call.query)
    mailbox_id, internal = call.ids["thread_id"], call.can("read_internal")
    about, held, page = await read_thread(
        call,
        SearchEntries(mailbox_id=mailbox_id, statuses=("claimed",), limit=5),
        SearchEntries(mailbox_id=mailbox_id, after=query.after, limit=_PAGE),
    )
    entries = [shown_entry(entry, internal=internal) for entry in page.items]
    return render_thread(
        call,
        "thread_mailbox.html",
        about,
        held=held.items,
        page=page,
        entries=entries,
        after=query.after,
    )


async def _show_deltas(call: Call) -> Response:
    before = cast("DeltasQuery", call.query).before
    about, *_ = await read_thread(call)
    last = about.summary.version if before is None else min(before - 1, about.summary.version)
    internal = call.can("read_internal")
    deltas = [visible_delta(each, internal=internal) for each in await _newest_deltas(call, last)]
    earlier = deltas[-1].version if deltas and deltas[-1].version > 1 else None
    return render_thread(
        call, "thread_deltas.html", about, deltas=deltas, before=before, earlier=earlier
    )


async def _newest_deltas(call: Call, last: int) -> Sequence[ThreadDelta]:
    """The deltas up to a version, the newest first: a page of them, or as many as are known."""
    thread_id = call.ids["thread_id"]
    for count in (_PAGE, _PAGE // 5, 1):
        first = max(last - count, 0)
        (found,) = await call.store.read(
            ListDeltas(thread_id=thread_id, after_version=first, limit=last - first)
        )
        if found is not None:
            return [each for each in reversed(found) if each.version <= last]
    return []


async def _show_raw(call: Call) -> Response:
    about, *_ = await read_thread(call)
    metadata = redacted_metadata(call, about.summary.metadata)
    return render_thread(call, "thread_raw.html", about, metadata=metadata)


async def _show_json(call: Call) -> Response:
    found = await call.store.threads.load(call.ids["thread_id"])
    if found is None:
        raise NotFound("thread", call.ids["thread_id"])
    return raw_redacted(redacted_thread(call, found.thread))


OPERATIONS = (
    Operation(
        method="GET",
        path="/threads/{thread_id}/state",
        summary="Show the state of a thread, and what has changed it.",
        action="read",
        owner=OWN_THREAD,
        query=StateQuery,
        handle=_show_state,
    ),
    Operation(
        method="GET",
        path="/threads/{thread_id}/runs",
        summary="List the runs of a thread.",
        action="read",
        owner=OWN_THREAD,
        query=PageQuery,
        handle=_show_runs,
    ),
    Operation(
        method="GET",
        path="/threads/{thread_id}/mailbox",
        summary="Show the mailbox of a thread.",
        action="read",
        owner=OWN_THREAD,
        query=PageQuery,
        handle=_show_mailbox,
    ),
    Operation(
        method="GET",
        path="/threads/{thread_id}/deltas",
        summary="List what was committed to a thread.",
        action="read",
        owner=OWN_THREAD,
        query=DeltasQuery,
        handle=_show_deltas,
    ),
    Operation(
        method="GET",
        path="/threads/{thread_id}/raw",
        summary="Show a thread without its messages as JSON, and how programs read it.",
        action="read",
        owner=OWN_THREAD,
        handle=_show_raw,
    ),
    Operation(
        method="GET",
        path="/threads/{thread_id}/json",
        summary="Show a thread as JSON, all of it.",
        action="read",
        owner=OWN_THREAD,
        handle=_show_json,
    ),
)
