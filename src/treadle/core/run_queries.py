"""Queries about runs: one of them, listings in pages, and how many there are."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Literal, Protocol, get_args

import msgspec

from treadle.core.codec import Model, always_encoded
from treadle.core.cursors import CursorPage, Position, page_after, read_cursor
from treadle.core.ids import RunId, ThreadId
from treadle.core.limits import Bound, Count
from treadle.core.pages import Order, PageQuery, page_of
from treadle.core.queries import Query
from treadle.core.runs import (
    RunOrigin,
    RunPage,
    RunRecord,
    RunRows,
    RunStatus,
    active_order,
    asks_nobody,
    is_active,
    listing_order,
)
from treadle.core.thread_summaries import ThreadSummary

STATUSES: tuple[RunStatus, ...] = get_args(RunStatus)

RunKey = Literal["created_at", "updated_at"]
"""What a search for runs is sorted by; runs of one time are sorted by their ids."""


class FoundRuns(CursorPage[RunRecord], frozen=True, kw_only=True):
    """A page of a search for runs."""


class RunStats(Model, frozen=True, kw_only=True):
    """The number of runs in each status."""

    running: Count = always_encoded(0)
    waiting: Count = always_encoded(0)
    done: Count = always_encoded(0)


class OwnedRunRows(RunRows, Protocol):
    """The rows that queries by the thread of a run need, and by its owner: that of the thread."""

    def find_runs_in(self, thread_id: str) -> Iterable[RunRecord]:
        """The runs of a thread, in no order."""
        ...

    def find_summaries(
        self, resource_id: str | None, parent_thread_id: str | None
    ) -> Iterable[ThreadSummary]:
        """The summaries of the threads with this owner and this parent; None matches all."""
        ...


def runs_of(
    rows: OwnedRunRows, thread_id: str | None, resource_id: str | None
) -> Iterator[RunRecord]:
    """The runs of a thread and of an owner; None matches all."""
    if resource_id is None:
        return iter(rows.runs.values() if thread_id is None else rows.find_runs_in(thread_id))
    owned = {summary.id for summary in rows.find_summaries(resource_id, None)}
    if thread_id is not None:
        owned &= {thread_id}
    return chain.from_iterable(map(rows.find_runs_in, owned))


def _asks(run: RunRecord) -> bool | None:
    """Whether a run waits for an answer, or for other work; None if it does not wait."""
    return not asks_nobody(run) if run.status == "waiting" else None


class LoadRun(Query[RunRecord | None], frozen=True, kw_only=True):
    """A run, or None."""

    run_id: RunId

    def answer(self, rows: RunRows, now: int) -> RunRecord | None:
        """Look it up."""
        return rows.runs.get(self.run_id)


class FindActiveRun(Query[RunRecord | None], frozen=True, kw_only=True):
    """The newest run of a thread that is not done, or None."""

    thread_id: ThreadId

    def answer(self, rows: OwnedRunRows, now: int) -> RunRecord | None:
        """The last active run in `active_order`."""
        runs = rows.find_runs_in(self.thread_id)
        return max(filter(is_active, runs), key=active_order, default=None)


class ListRuns(PageQuery[RunPage], frozen=True, kw_only=True):
    """A page of the runs that match all filters, oldest first; bounds of times are inclusive."""

    thread_id: ThreadId | None = None
    parent_run_id: RunId | None = None
    status: RunStatus | None = None
    origin: RunOrigin | None = None
    termination_code: str | None = None
    created_at_from: Bound | None = None
    created_at_to: Bound | None = None
    updated_at_from: Bound | None = None
    updated_at_to: Bound | None = None

    def answer(self, rows: OwnedRunRows, now: int) -> RunPage:
        """Filter, sort, cut."""
        matching = filter(self.matches, runs_of(rows, self.thread_id, None))
        runs = sorted(matching, key=listing_order)
        return page_of(RunPage, runs, self, rows.runs.unreadable())

    def matches(self, run: RunRecord) -> bool:
        """Return whether `run` passes all filters."""
        return (
            (self.thread_id is None or run.thread_id == self.thread_id)
            and (self.parent_run_id is None or run.parent_run_id == self.parent_run_id)
            and (self.status is None or run.status == self.status)
            and (self.origin is None or run.origin == self.origin)
            and (self.termination_code is None or run.termination_code == self.termination_code)
            and (self.created_at_from is None or run.created_at >= self.created_at_from)
            and (self.created_at_to is None or run.created_at <= self.created_at_to)
            and (self.updated_at_from is None or run.updated_at >= self.updated_at_from)
            and (self.updated_at_to is None or run.updated_at <= self.updated_at_to)
        )


class SearchRuns(Query[FoundRuns], frozen=True, kw_only=True):
    """A page of the runs that match all filters, newest first."""

    by: RunKey = "created_at"
    order: Order = "desc"
    after: str | None = None
    """The cursor of a page in the same order; the next page begins after it."""
    limit: Bound = 50
    thread_id: ThreadId | None = None
    resource_id: str | None = None
    """The owner of the run's thread, as it is now."""
    parent_run_id: RunId | None = None
    agent_id: str | None = None
    origin: RunOrigin | None = None
    statuses: tuple[RunStatus, ...] | None = None
    """Runs in one of these; None matches all."""
    asks: bool | None = None
    """Only runs that wait: for an answer (True), or for other work and ask nobody (False)."""

    def check(self, where: str) -> None:
        """Refuse a cursor of another listing."""
        self.start(where)

    def start(self, where: str = "search") -> Position[RunKey] | None:
        """Return the position after which the page begins; None is the beginning.

        Raises:
            InvalidValue: `after` is not a cursor of this listing.
        """
        return read_cursor(Position[RunKey], self.after, self.by, f"{where}.after")

    def position_of(self, run: RunRecord) -> Position[RunKey]:
        """Return the position of a run in this listing."""
        return Position(self.by, getattr(run, self.by), run.run_id)

    def matches(self, run: RunRecord) -> bool:
        """Return whether `run` passes all filters except thread and owner."""
        return (
            self.parent_run_id in (None, run.parent_run_id)
            and self.agent_id in (None, run.agent_id)
            and self.origin in (None, run.origin)
            and (self.statuses is None or run.status in self.statuses)
            and (self.asks is None or self.asks is _asks(run))
        )

    def answer(self, rows: OwnedRunRows, now: int) -> FoundRuns:
        """Filter, sort, cut."""
        found = filter(self.matches, runs_of(rows, self.thread_id, self.resource_id))
        placed = [(self.position_of(run), run) for run in found]
        unreadable = rows.runs.unreadable()
        return page_after(FoundRuns, self.start(), placed, self.order, self.limit, unreadable)


class CountRuns(Query[RunStats], frozen=True, kw_only=True):
    """The number of runs in each status, of a thread, of an owner, or of all."""

    thread_id: ThreadId | None = None
    resource_id: str | None = None
    """The owner of the runs' threads, as it is now."""

    def answer(self, rows: OwnedRunRows, now: int) -> RunStats:
        """Count them."""
        found = runs_of(rows, self.thread_id, self.resource_id)
        return msgspec.convert(Counter(run.status for run in found), type=RunStats)
