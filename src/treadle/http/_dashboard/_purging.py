"""Purging old threads: how many there are, and deleting them once the number of days is typed."""

from typing import Annotated, cast
from urllib.parse import unquote

import msgspec
from msgspec import Meta
from starlette.responses import Response

from treadle.clock import system_clock
from treadle.core.limits import PAGE
from treadle.core.thread_summaries import ListThreadSummaries
from treadle.errors import InvalidValue
from treadle.http._call import Call
from treadle.http._dashboard._charts import DAY_MS
from treadle.http._dashboard._rendering import redirect, render
from treadle.http._errors import Refused
from treadle.http._operation import Operation
from treadle.http._owners import ALL
from treadle.store.retention import PurgedThreads

_Days = Annotated[int, Meta(ge=1, le=36_500)]


class PurgeQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which threads are counted."""

    days: _Days = 365
    """Those that have not changed for so many days."""
    resource_id: str | None = None


class PurgeForm(msgspec.Struct, frozen=True, kw_only=True):
    """Which threads are deleted."""

    days: _Days
    owner: str | None = None
    """Only those of this owner; percent-encoded, as in `EraseForm`."""
    confirmation: str | None = None
    """The number of days, typed by hand."""


async def _ask(call: Call) -> Response:
    if call.read_only:
        raise Refused(403, "read_only", "the server only reads")
    call.require("purge")
    wanted = cast("PurgeQuery", call.query)
    before = _before(wanted.days)
    (oldest,) = await call.store.read(
        ListThreadSummaries(by="updated_at", limit=PAGE, resource_id=wanted.resource_id)
    )
    old = [each for each in oldest.items if (each.metadata.updated_at or 0) < before]
    has_more = len(old) == len(oldest.items) and oldest.next_cursor is not None
    return render(call, "purge.html", wanted=wanted, before=before, old=old, has_more=has_more)


async def _purge(call: Call) -> Response:
    call.require("purge")
    form = cast("PurgeForm", call.body)
    if form.confirmation != str(form.days):
        raise InvalidValue("confirmation", f"type the number of days, {form.days}")
    owner = None if form.owner is None else unquote(form.owner)
    purged = await call.store.purge_threads(_before(form.days), resource_id=owner)
    return redirect(call, "threads", said=" ".join(_words_of(purged)))


def _before(days: int) -> int:
    return max(0, system_clock() - days * DAY_MS)


def _words_of(purged: PurgedThreads) -> list[str]:
    said = [f"{purged.threads:,} old threads were deleted, with {purged.entries:,} entries."]
    if purged.active:
        said.append(f"{purged.active:,} stay: work waits there, or below them.")
    if purged.unreadable:
        said.append("Records that cannot be read stay, and the threads that they may belong to.")
    return said


OPERATIONS = (
    Operation(
        method="GET",
        path="/purge-threads",
        summary="Show how many threads have not changed for long.",
        action="delete",
        owner=ALL,
        query=PurgeQuery,
        handle=_ask,
        details="It also needs the right to `purge`.",
    ),
    Operation(
        method="POST",
        path="/purge-threads",
        summary="Delete the threads that have not changed for long.",
        action="delete",
        owner=ALL,
        form=PurgeForm,
        handle=_purge,
        details="It also needs the right to `purge`. If it is stopped, do it again.",
    ),
)
