"""The list of threads."""

from collections.abc import Iterable
from typing import cast

import msgspec
from starlette.responses import Response

from treadle.core.cursors import NO_TIME, Position, cursor_of
from treadle.core.ids import ThreadId, check_id
from treadle.core.limits import PAGE
from treadle.core.run_queries import SearchRuns
from treadle.core.runs import RunRecord, RunStatus
from treadle.core.thread_summaries import (
    ListThreadSummaries,
    LoadThreadSummary,
    ThreadSummary,
    ThreadSummaryPage,
)
from treadle.http._call import Call
from treadle.http._dashboard._rendering import render
from treadle.http._operation import Operation
from treadle.http._owners import FILTERED
from treadle.store.store import Store

_PAGE = 50


class ThreadList(msgspec.Struct, frozen=True, kw_only=True):
    """Which threads are listed."""

    resource_id: str | None = None
    parent_thread_id: ThreadId | None = None
    prefix: str | None = None
    """How their ids begin; then they are sorted by id."""
    roots: bool = False
    """Only threads without a parent."""
    after: str | None = None
    """The cursor of the page before."""


async def _list(call: Call) -> Response:
    wanted = cast("ThreadList", call.query)
    listing = ListThreadSummaries(
        by="updated_at",
        order="desc",
        after=wanted.after,
        limit=_PAGE,
        resource_id=wanted.resource_id,
        parent_thread_id=wanted.parent_thread_id,
        roots=wanted.roots,
    )
    if wanted.prefix is None:
        (page,) = await call.store.read(listing)
    else:
        page = await _with_prefix(call.store, listing, wanted.prefix)
    (active,) = await call.store.read(active_runs(wanted.resource_id))
    is_filtered = wanted != ThreadList(after=wanted.after, resource_id=call.principal.own)
    return render(
        call,
        "threads.html",
        wanted=wanted,
        page=page,
        is_filtered=is_filtered,
        statuses=statuses_of(active.items),
    )


def active_runs(owner: str | None) -> SearchRuns:
    """Return the query of the runs that changed last and are not done."""
    statuses: tuple[RunStatus, ...] = ("waiting", "running")
    return SearchRuns(statuses=statuses, by="updated_at", resource_id=owner, limit=PAGE)


def statuses_of(runs: Iterable[RunRecord]) -> dict[str, RunStatus]:
    """Return which of the threads of some runs wait for a human, and in which one goes on."""
    found: dict[str, RunStatus] = {}
    for run in runs:
        if found.get(run.thread_id) != "waiting":
            found[run.thread_id] = run.status
    return found


async def _with_prefix(
    store: Store, listing: ListThreadSummaries, prefix: str
) -> ThreadSummaryPage:
    """The threads of a listing whose ids begin alike, in the order of their ids."""
    after = listing.after or _cursor_at(check_id("thread", prefix))
    behind = msgspec.structs.replace(listing, by="id", order="asc", after=after)
    page, exact = await store.read(behind, LoadThreadSummary(thread_id=prefix))
    items = tuple(each for each in page.items if each.id.startswith(prefix))
    if listing.after is None and exact is not None and _matches(listing, exact):
        items = (exact, *items)
    more = page.next_cursor if page.items and page.items[-1].id.startswith(prefix) else None
    return msgspec.structs.replace(page, items=items, next_cursor=more)


def _cursor_at(thread_id: str) -> str:
    return cursor_of(Position("id", NO_TIME, thread_id))


def _matches(listing: ListThreadSummaries, summary: ThreadSummary) -> bool:
    return (
        listing.resource_id in (None, summary.resource_id)
        and listing.parent_thread_id in (None, summary.parent_thread_id)
        and not (listing.roots and summary.parent_thread_id is not None)
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/threads",
        summary="List the threads that changed last.",
        action="read",
        owner=FILTERED,
        query=ThreadList,
        handle=_list,
    ),
)
