"""What commands do to runs, and what is read of them."""

from treadle.backends.memory.tables import Tables
from treadle.core.commands import DeleteRun, UpsertRun
from treadle.core.pages import page_of
from treadle.core.runs import (
    RunPage,
    RunQuery,
    RunRecord,
    run_after,
    run_matches,
    run_order,
)
from treadle.core.threads import ThreadChangeSet


def upsert(tables: Tables, command: UpsertRun) -> None:
    """Put a run as a whole."""
    tables.put("runs", command.run.run_id, command.run)


def delete(tables: Tables, command: DeleteRun) -> bool:
    """Take a run away; say whether it was there."""
    present = command.run_id in tables.runs
    if present:
        tables.put("runs", command.run_id, None)
    return present


def record_run(tables: Tables, thread_id: str, changes: ThreadChangeSet, now: int) -> None:
    """Put what an append tells about its run."""
    before = tables.runs.get(changes.run_id)
    after = run_after(
        before, changes.run_id, thread_id, changes.parent_run_id, changes.run_meta, now
    )
    if after is not None:
        tables.put("runs", after.run_id, after)


def load(tables: Tables, run_id: str) -> RunRecord | None:
    """A run, or None."""
    return tables.runs.get(run_id)


def list_runs(tables: Tables, query: RunQuery) -> RunPage:
    """A page of runs."""
    matching = [run for run in tables.runs.values() if run_matches(run, query)]
    return page_of(RunPage, sorted(matching, key=run_order), query)


def find_active(tables: Tables, thread_id: str) -> RunRecord | None:
    """The newest run of a thread that is not done, or None."""
    active = (
        run for run in tables.runs.values() if run.thread_id == thread_id and run.status != "done"
    )
    return max(active, key=run_order, default=None)
