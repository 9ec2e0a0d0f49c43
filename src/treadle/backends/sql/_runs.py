"""Runs: written as a whole, read, searched and summed."""

from collections.abc import Sequence

import msgspec

from treadle.backends._damage import DamageLog
from treadle.backends.model.tables import Change
from treadle.backends.sql._listing import (
    Placed,
    behind,
    conditions_of,
    offset_and_limit,
    page_of_rows,
    read_cursor_page,
    without_none,
)
from treadle.backends.sql.program import Program, Read, Row, Statement, Values, direction_of, writes
from treadle.backends.sql.rows import naming_damage, read_json, read_run, readable
from treadle.backends.sql.tables import RUNS, text_value, to_json
from treadle.core.run_queries import (
    STATUSES,
    CountRuns,
    FindActiveRun,
    FoundRuns,
    ListRuns,
    LoadRun,
    RunStats,
    SearchRuns,
)
from treadle.core.runs import RunPage, RunRecord
from treadle.core.usage import Sums, SumUsage, UsageReport

_USAGE_ROWS = 1_000
"""How many runs are read at a time to sum their tokens."""


def write_runs(changes: Sequence[Change]) -> Sequence[Statement]:
    """The statements that carry out changes of runs."""
    new: list[Values] = []
    changed: list[Values] = []
    gone: list[Values] = []
    times: list[Values] = []
    moved: list[Values] = []
    for change in changes:
        before, run = change.before, change.after
        if not isinstance(run, RunRecord):
            gone.append({"run_id": change.key})
            continue
        (new if before is None else changed).append(RUNS.values(run))
        # A command that closes a run has no lock of its thread, and must not write the owner.
        stays = isinstance(before, RunRecord) and before.thread_id == run.thread_id
        (times if stays else moved).append({"run_id": run.run_id, **times_of(run)})
    return writes(
        insert_run=new,
        update_run=changed,
        delete_run=gone,
        delete_run_time=gone,
        update_run_time=times,
        upsert_run_time=moved,
    )


def times_of(run: RunRecord) -> Values:
    """The columns by which a search finds a run, except its owner."""
    return {
        "of_thread": run.thread_id,
        "in_status": run.status,
        "begun_at": run.created_at,
        "changed_at": run.updated_at,
    }


# --- reading --------------------------------------------------------------------------------------


def load_run(query: LoadRun) -> Program[RunRecord | None]:
    """A run, or None."""
    (rows,) = yield (Read("load_run", {"run_id": query.run_id}),)
    return read_run(rows[0]) if rows else None


def find_active_run(query: FindActiveRun, damage: DamageLog) -> Program[RunRecord | None]:
    """The newest run of a thread that is not done, or None."""
    offset = 0
    while True:
        values = {"thread_id": query.thread_id, "offset": offset}
        (rows,) = yield (Read("find_active_run", values),)
        if not rows:
            return None
        for run in readable(read_run, rows, damage):
            return run
        offset += 1


def list_runs(query: ListRuns, damage: DamageLog) -> Program[RunPage]:
    """A page of runs."""
    conditions, values = conditions_of(query)
    page = offset_and_limit(query)
    rows, counted = yield (
        Read("list_runs", {**values, **page}, conditions),
        Read("count_runs", values, conditions),
    )
    return page_of_rows(RunPage, read_run, rows, counted[0][0], query, damage)


def search_runs(query: SearchRuns, damage: DamageLog) -> Program[FoundRuns]:
    """A page of runs; those of each status are a range of an index, and the ranges are merged."""

    def place(row: Row) -> Placed[RunRecord] | None:
        run = read_run(row)
        return (query.position_of(run), run) if query.matches(run) else None

    return read_cursor_page(FoundRuns, _searches(query), place, query.limit, damage)


def _searches(query: SearchRuns) -> list[Read]:
    statuses = None if query.statuses is None else tuple(dict.fromkeys(query.statuses))
    if query.asks is not None:
        statuses = tuple(each for each in statuses or ("waiting",) if each == "waiting")
    if query.by == "updated_at" or query.resource_id is not None:
        sort = "changed_at" if query.by == "updated_at" else "begun_at"
        filters = {"of_thread": query.thread_id, "owner": text_value(query.resource_id)}
        ranges = [
            {**filters, "in_status": status}
            for status in (STATUSES if statuses is None else statuses)
        ]
        return [_search(query, "search_run_times", sort, each) for each in ranges]
    if query.thread_id is not None or query.parent_run_id is not None or statuses is None:
        filters = {"thread_id": query.thread_id, "parent_run_id": query.parent_run_id}
        return [_search(query, "search_runs", "created_at", filters)]
    return [_search(query, "search_runs", "created_at", {"status": each}) for each in statuses]


def _search(query: SearchRuns, name: str, by: str, filters: Values) -> Read:
    values = without_none(filters)
    conditions = [*values]
    if query.agent_id is not None:
        # The id as it is spelled in JSON; `matches` decides whether it is the run's agent.
        conditions.append("agent")
        values["agent"] = to_json(query.agent_id)
    sort = (by, "run_id")
    start = query.start()
    if start is not None:
        conditions.append("behind")
        values |= behind(sort, start.order)
    direction = direction_of(query.order)
    return Read(name, values, tuple(conditions), direction, sort)


def count_runs(query: CountRuns) -> Program[RunStats]:
    """How many runs there are in each status."""
    filters = {"of_thread": query.thread_id, "owner": text_value(query.resource_id)}
    values = without_none(filters)
    (rows,) = yield (Read("count_runs_by_status", values, tuple(values)),)
    counts = {status: count for status, count in rows if status in STATUSES}
    return msgspec.convert(counts, type=RunStats)


def sum_usage(query: SumUsage, damage: DamageLog) -> Program[UsageReport]:
    """The tokens of runs, which are read a few at a time."""
    sums = Sums(query)
    unreadable: list[str] = []
    most, looked_at = query.most, 0
    last: Row | None = None
    while True:
        number = _USAGE_ROWS if most is None else min(_USAGE_ROWS, most - looked_at)
        (rows,) = yield (_read_usage(query, last, number),)
        for run, owner in readable(_read_owned_run, rows, damage, unreadable):
            sums.add(run, owner)
        looked_at += len(rows)
        if len(rows) < number or looked_at == most:
            return sums.report(unreadable, more=looked_at == most)
        last = rows[-1]


@naming_damage("run")
def _read_owned_run(row: Row) -> tuple[RunRecord, str | None]:
    run_id, body, _, owner = row
    return read_run((run_id, body)), msgspec.convert(read_json(owner), str | None)


def _read_usage(query: SumUsage, last: Row | None, limit: int) -> Read:
    owned = query.resource_id is not None
    filters = {
        "begun_since" if owned else "since": query.since,
        "begun_until" if owned else "until": query.until,
        "of_thread" if owned else "thread_id": query.thread_id,
        "owner": text_value(query.resource_id),
    }
    values = without_none(filters)
    conditions = [*values]
    sort = ("begun_at" if owned else "created_at", "run_id")
    if last is not None:
        run_id, _, begun_at, _ = last
        conditions.append("behind")
        values |= behind(sort, (begun_at, run_id))
    name = "read_usage_of_owner" if owned else "read_usage"
    return Read(name, {**values, "limit": limit}, tuple(conditions), "DESC", sort)
