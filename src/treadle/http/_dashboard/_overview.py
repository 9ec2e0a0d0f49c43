"""The first page: what waits for a human, what is stuck, and what has changed last."""

from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.responses import Response

from treadle.core.entry_groups import CountGroups
from treadle.core.explaining import ExplainEntry
from treadle.core.mailbox_queries import SearchEntries
from treadle.core.mailbox_reports import ListConsumers, ListErrors
from treadle.core.mailboxes import MailboxEntry
from treadle.core.run_queries import SearchRuns
from treadle.core.thread_summaries import ListThreadSummaries
from treadle.http._call import Call
from treadle.http._dashboard._entries import found_error
from treadle.http._dashboard._entry_filters import COUNTED
from treadle.http._dashboard._rendering import render
from treadle.http._dashboard._threads import statuses_of
from treadle.http._dashboard._waiting import ASKING, read_waiting
from treadle.http._operation import Operation
from treadle.http._owners import FILTERED

_SHOWN = 8
"""How many of a kind are listed."""
_ASKING = 3 * _SHOWN
"""How many runs that wait are looked at: some have their answers, and wait for a worker."""
_LATE_MS = 60_000
"""For how long an entry is due before somebody should know."""
_EXPLAINED = 20
"""How many of the entries that have been due longest are looked at: most wait for a human."""


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Whose things are shown."""

    resource_id: str | None = None


async def _show(call: Call) -> Response:
    owner = call.query.resource_id
    longest_first = SearchRuns(
        asks=True, by="updated_at", order="asc", resource_id=owner, limit=_ASKING
    )
    asking, running, threads = await call.store.read(
        longest_first,
        SearchRuns(statuses=("running",), by="updated_at", resource_id=owner, limit=_SHOWN),
        ListThreadSummaries(by="updated_at", order="desc", resource_id=owner, limit=_SHOWN),
    )
    waiting = await read_waiting(call.store, asking.items)
    questions = [each for each in waiting if each.way in ASKING]
    return render(
        call,
        "overview.html",
        questions=questions[:_SHOWN],
        has_more_questions=asking.next_cursor is not None or len(questions) > _SHOWN,
        running=running,
        threads=threads,
        statuses=statuses_of((*asking.items, *running.items)),
        # Entries have no owner by whom they could be found.
        entries=await _entries(call) if call.principal.own is None else None,
    )


async def _entries(call: Call) -> dict[str, Any]:
    """What waits in all mailboxes, what fails, and which workers may have died."""
    counts, errors, consumers, due = await call.store.read(
        CountGroups(limit=COUNTED),
        ListErrors(limit=COUNTED),
        ListConsumers(limit=COUNTED),
        SearchEntries(group="due", by="available_at", order="asc", limit=_EXPLAINED),
    )
    return {
        "counts": counts,
        "errors": [found_error(call, group) for group in errors.items[:_SHOWN]],
        "has_more_errors": errors.more or len(errors.items) > _SHOWN,
        "lost": [each for each in consumers.items if each.expired][:_SHOWN],
        "late": await _late(call, due.items, counts.at),
    }


async def _late(call: Call, due: Sequence[MailboxEntry], now: int) -> list[MailboxEntry]:
    """The first entry that has been due for long although nothing keeps it from being claimed."""
    late = [entry for entry in due if entry.available_at < now - _LATE_MS]
    explained = await call.store.read(*(ExplainEntry(entry_id=entry.entry_id) for entry in late))
    return [each.entry for each in explained if each is not None and not each.obstacles][:1]


OPERATIONS = (
    Operation(
        method="GET",
        path="/",
        summary="Show what waits for a human, and what is stuck.",
        action="read",
        owner=FILTERED,
        query=Overview,
        handle=_show,
    ),
)
