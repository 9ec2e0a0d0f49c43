"""Runs: written as a whole, read and listed."""

from collections.abc import Sequence

from treadle.backends._damage import DamageLog
from treadle.backends.model.tables import Change
from treadle.backends.sql._listing import conditions_of, offset_and_limit, page_of_rows
from treadle.backends.sql.program import Program, Read, Statement, Values, writes
from treadle.backends.sql.rows import read_run, readable
from treadle.backends.sql.tables import RUNS
from treadle.core.runs import FindActiveRun, ListRuns, LoadRun, RunPage, RunRecord


def write_runs(changes: Sequence[Change]) -> Sequence[Statement]:
    """The statements that carry out changes of runs."""
    new: list[Values] = []
    changed: list[Values] = []
    gone: list[Values] = []
    for change in changes:
        if not isinstance(change.after, RunRecord):
            gone.append({"run_id": change.key})
        elif change.before is None:
            new.append(RUNS.values(change.after))
        else:
            changed.append(RUNS.values(change.after))
    return writes(insert_run=new, update_run=changed, delete_run=gone)


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
