"""The list of runs, and what they have used."""

from typing import Literal, cast

import msgspec
from starlette.responses import Response

from treadle.clock import system_clock
from treadle.core.ids import RunId, ThreadId
from treadle.core.run_queries import SearchRuns
from treadle.core.runs import RunOrigin, RunStatus
from treadle.core.usage import SumUsage, UsageKey
from treadle.errors import InvalidValue
from treadle.http._call import Call
from treadle.http._dashboard._charts import DAY_MS, days_until, stack
from treadle.http._dashboard._rendering import render
from treadle.http._operation import Operation
from treadle.http._owners import FILTERED

_PAGE = 50
_MOST_DAYS = 366
_MOST_RUNS = 5_000
"""How many runs are summed, the newest ones."""
_ROWS = 100
"""Most rows of a table of usage; those that used most come first."""


class RunList(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs are listed."""

    resource_id: str | None = None
    thread_id: ThreadId | None = None
    parent_run_id: RunId | None = None
    agent_id: str | None = None
    origin: RunOrigin | None = None
    status: RunStatus | None = None
    waits_for: Literal["answer", "work"] | None = None
    after: str | None = None
    """The cursor of the page before."""


class UsageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What usage is shown."""

    by: Literal["day", "owner", "agent", "thread"] = "day"
    days: int = 30
    """How many days, the present one included."""
    resource_id: str | None = None
    agent_id: str | None = None


async def _list(call: Call) -> Response:
    wanted = cast("RunList", call.query)
    (page,) = await call.store.read(
        SearchRuns(
            by="created_at",
            after=wanted.after,
            limit=_PAGE,
            resource_id=wanted.resource_id,
            thread_id=wanted.thread_id,
            parent_run_id=wanted.parent_run_id,
            agent_id=wanted.agent_id,
            origin=wanted.origin,
            statuses=None if wanted.status is None else (wanted.status,),
            asks=None if wanted.waits_for is None else wanted.waits_for == "answer",
        )
    )
    is_filtered = wanted != RunList(after=wanted.after, resource_id=call.principal.own)
    return render(call, "runs.html", wanted=wanted, page=page, is_filtered=is_filtered)


async def _show_usage(call: Call) -> Response:
    wanted = cast("UsageQuery", call.query)
    if not 1 <= wanted.days <= _MOST_DAYS:
        raise InvalidValue("days", f"it must be 1 to {_MOST_DAYS}, not {wanted.days}")
    now = system_clock()
    since = max(0, (now // DAY_MS - wanted.days + 1) * DAY_MS)
    keys: list[UsageKey] = ["day", wanted.by]
    by_day, *rest = await call.store.read(
        *(_usage(wanted, by, since) for by in dict.fromkeys(keys))
    )
    table = rest[0] if rest else by_day
    is_filtered = wanted != UsageQuery(resource_id=call.principal.own)
    return render(
        call,
        "usage.html",
        wanted=wanted,
        bars=stack(by_day.items, days_until(now, wanted.days)),
        report=table,
        most_runs=_MOST_RUNS,
        rows=table.items[::-1] if wanted.by == "day" else table.items[:_ROWS],
        is_filtered=is_filtered,
    )


def _usage(wanted: UsageQuery, by: UsageKey, since: int) -> SumUsage:
    return SumUsage(
        by=by,
        since=since,
        resource_id=wanted.resource_id,
        agent_id=wanted.agent_id,
        limit=_MOST_RUNS,
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/runs",
        summary="List the newest runs.",
        action="read",
        owner=FILTERED,
        query=RunList,
        handle=_list,
    ),
    Operation(
        method="GET",
        path="/usage",
        summary="Show the tokens that runs have used, by day, owner, agent or thread.",
        action="read",
        owner=FILTERED,
        query=UsageQuery,
        handle=_show_usage,
    ),
)
