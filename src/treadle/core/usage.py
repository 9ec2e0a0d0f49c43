"""Usage: the tokens that runs have used, summed."""

from collections.abc import Iterable
from datetime import date
from typing import Literal

import msgspec

from treadle.core.codec import Model, always_encoded
from treadle.core.ids import ThreadId
from treadle.core.limits import Bound, Count
from treadle.core.queries import Query
from treadle.core.run_queries import OwnedRunRows, runs_of
from treadle.core.runs import RunRecord

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
    unreadable: tuple[str, ...] = ()
    """Damaged records that were left out, by name. A store in a folder names all that it knows of,
    whatever the filters."""


class SumUsage(Query[UsageReport], frozen=True, kw_only=True):
    """The tokens of the runs that match all filters, summed by something."""

    by: UsageKey
    since: Bound | None = None
    """Runs that were created at this time (unix ms) or later."""
    until: Bound | None = None
    """Runs that were created before this time (unix ms)."""
    thread_id: ThreadId | None = None
    resource_id: str | None = None
    """The owner of the runs' threads, as it is now."""
    agent_id: str | None = None

    def matches(self, run: RunRecord) -> bool:
        """Return whether the filters by time and agent let `run` pass."""
        return (
            self.agent_id in (None, run.agent_id)
            and (self.since is None or run.created_at >= self.since)
            and (self.until is None or run.created_at < self.until)
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
        for run in runs_of(rows, self.thread_id, self.resource_id):
            sums.add(run, owners.get(run.thread_id))
        return sums.report(rows.runs.unreadable())


class Sums:
    """The sums that a query asks for, as runs are added to them."""

    def __init__(self, query: SumUsage) -> None:
        self._query = query
        self._sums: dict[str | None, Usage] = {}

    def add(self, run: RunRecord, owner: str | None) -> None:
        """Add a run, if it matches."""
        if not self._query.matches(run):
            return
        key = self._query.key_of(run, owner)
        before = self._sums.get(key, Usage(key=key))
        self._sums[key] = msgspec.structs.replace(
            before,
            runs=before.runs + 1,
            input_tokens=before.input_tokens + run.input_tokens,
            output_tokens=before.output_tokens + run.output_tokens,
        )

    def report(self, unreadable: Iterable[str]) -> UsageReport:
        """Return the sums in their order."""
        items = sorted(self._sums.values(), key=lambda usage: usage.key or "")
        if self._query.by != "day":
            items.sort(key=lambda usage: usage.input_tokens + usage.output_tokens, reverse=True)
        return UsageReport(items=tuple(items), unreadable=tuple(unreadable))


def _day(time: int) -> str:
    return date.fromordinal(_FIRST_DAY + min(time // _DAY_MS, _LAST_DAY)).isoformat()
