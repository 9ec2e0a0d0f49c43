"""Usage: the tokens that runs have used, summed."""

from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from typing import Literal

from treadle.core.codec import Model, always_encoded
from treadle.core.ids import ThreadId
from treadle.core.limits import Bound, Count
from treadle.core.queries import Query
from treadle.core.run_queries import OwnedRunRows, runs_of
from treadle.core.runs import RunRecord, listing_order

UsageKey = Literal["thread", "owner", "agent", "day"]
"""What tokens are summed by."""

_DAY_MS = 24 * 60 * 60 * 1000
_FIRST_DAY = date(1970, 1, 1).toordinal()
_LAST_DAY = date.max.toordinal() - _FIRST_DAY


class Usage(Model, frozen=True, kw_only=True):
    """The tokens of some runs; the sums are exact, and may have more than 64 bits."""

    key: str | None = None
    """The thread, the owner or the agent. Or the day in UTC on which the runs were created, such as
    `2026-11-29`; the last one is `9999-12-31`. None: runs of threads that have no owner, or are
    deleted."""
    runs: Count = always_encoded(0)
    input_tokens: Count = always_encoded(0)
    output_tokens: Count = always_encoded(0)


class UsageReport(Model, frozen=True, kw_only=True):
    """What runs have used: days in their order; others by their tokens, most first, then by key."""

    items: tuple[Usage, ...] = always_encoded(())
    more: bool = False
    """There may be more runs than `limit`, and the older ones were left out."""
    unreadable: tuple[str, ...] = ()
    """Damaged records that were left out, by name. A store in a folder names all that it knows of,
    whatever the filters."""


class SumUsage(Query[UsageReport], frozen=True, kw_only=True):
    """The tokens of the runs that match all filters, summed by thread, owner, agent or day."""

    by: UsageKey
    since: Bound | None = None
    """Runs that were created at this time (unix ms) or later."""
    until: Bound | None = None
    """Runs that were created before this time (unix ms)."""
    thread_id: ThreadId | None = None
    resource_id: str | None = None
    """The owner of the runs' threads, as it is now."""
    agent_id: str | None = None
    limit: Bound | None = None
    """How many runs are looked at, at least one: the newest of those that pass the filters by time,
    thread and owner. None: all."""

    @property
    def most(self) -> int | None:
        """How many runs are looked at; None is all."""
        return None if self.limit is None else max(1, self.limit)

    def is_in_time(self, run: RunRecord) -> bool:
        """Return whether `run` passes the filters by time."""
        return (self.since is None or run.created_at >= self.since) and (
            self.until is None or run.created_at < self.until
        )

    def key_of(self, run: RunRecord, owner: str | None) -> str | None:
        """Return the key of the sum to which a run is added."""
        match self.by:
            case "thread":
                return run.thread_id
            case "owner":
                return owner
            case "agent":
                return run.agent_id
            case "day":
                return _day(run.created_at)

    def answer(self, rows: OwnedRunRows, now: int) -> UsageReport:
        """Filter and sum."""
        owners: dict[str, str | None] = {}
        if self.by == "owner":
            summaries = rows.find_summaries(self.resource_id, None)
            owners = {summary.id: summary.resource_id for summary in summaries}
        sums = Sums(self)
        runs = [
            run for run in runs_of(rows, self.thread_id, self.resource_id) if self.is_in_time(run)
        ]
        looked_at = runs
        if self.most is not None:
            looked_at = sorted(runs, key=listing_order)[-self.most :]
        for run in looked_at:
            sums.add(run, owners.get(run.thread_id))
        return sums.report(rows.runs.unreadable(), more=len(looked_at) == self.most)


class Sums:
    """The sums that a query asks for, as runs are added to them."""

    def __init__(self, query: SumUsage) -> None:
        self._query = query
        self._sums: dict[str | None, list[int]] = {}

    def add(self, run: RunRecord, owner: str | None) -> None:
        """Add a run, if it is of the agent."""
        if self._query.agent_id not in (None, run.agent_id):
            return
        sums = self._sums.setdefault(self._query.key_of(run, owner), [0, 0, 0])
        sums[0] += 1
        sums[1] += run.input_tokens
        sums[2] += run.output_tokens

    def report(self, unreadable: Iterable[str], *, more: bool) -> UsageReport:
        """Return the sums in their order."""
        items = [
            Usage(key=key, runs=runs, input_tokens=given, output_tokens=made)
            for key, (runs, given, made) in self._sums.items()
        ]
        items.sort(key=lambda usage: usage.key or "")
        if self._query.by != "day":
            items.sort(key=lambda usage: usage.input_tokens + usage.output_tokens, reverse=True)
        return UsageReport(items=tuple(items), more=more, unreadable=tuple(unreadable))


def _day(time: int) -> str:
    return _name_of_day(min(time // _DAY_MS, _LAST_DAY))


@lru_cache(maxsize=1_000)
def _name_of_day(day: int) -> str:
    return date.fromordinal(_FIRST_DAY + day).isoformat()
