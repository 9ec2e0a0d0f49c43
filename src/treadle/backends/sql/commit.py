"""Committing: read what the batches touch, apply the rules to it, write what they changed."""

from collections.abc import Iterable, Sequence

from treadle.backends.memory.commit import apply_batch
from treadle.backends.memory.tables import Change
from treadle.backends.sql.footprint import Footprint, footprint_of
from treadle.backends.sql.mailboxes import write_entries, write_mailboxes, write_purges
from treadle.backends.sql.program import Program, Read, Statement
from treadle.backends.sql.rows import id_list
from treadle.backends.sql.runs import write_runs
from treadle.backends.sql.threads import write_threads
from treadle.backends.sql.working_set import WorkingSet
from treadle.core.commands import Commands, Purge, Receipt

Outcome = Receipt | Exception


def commit(batches: Sequence[Commands], now: int | None) -> Program[list[Outcome]]:
    """Commit batches in their order; each succeeds or fails for itself, and nothing of it is left.

    A batch that purges counts rows that others may change, so it is committed by itself. Without
    `now`, the database's clock is asked once all is locked.
    """
    outcomes: list[Outcome] = []
    for group in _groups(batches):
        rows, clock = yield from gather(footprint_of(group), now)
        outcomes += [_apply(rows, batch, clock) for batch in group]
        writes = tuple(write(rows))
        if writes:
            yield writes
    return outcomes


def gather(footprint: Footprint, now: int | None) -> Program[tuple[WorkingSet, int]]:
    """Read the rows of a footprint, all at once; and the clock, if it is not told."""
    rows = WorkingSet(footprint)
    reads = footprint.reads()
    times = sorted(footprint.ended_before)
    loaded = id_list(footprint.entries)
    counts = [Read("count_ended", {"older_than": time, "loaded": loaded}) for time in times]
    clock = [Read("clock", {})] if now is None else []
    wanted = (*reads, *counts, *clock)
    answers = (yield wanted) if wanted else []
    rows.fill((read.name for read in reads), answers[: len(reads)])
    counted = answers[len(reads) : len(reads) + len(counts)]
    rows.ended = {time: count[0][0] for time, count in zip(times, counted, strict=True)}
    return rows, answers[-1][0][0] if now is None else now


def write(rows: WorkingSet) -> Iterable[Statement]:
    """The statements that write what is not as it was read."""
    by_table: dict[str, list[Change]] = {}
    # By key: whoever inserts the same keys elsewhere does so in the same order, and none waits in a
    # circle.
    for change in sorted(rows.changes(), key=lambda change: change.key):
        by_table.setdefault(change.table, []).append(change)
    yield from write_threads(by_table.get("threads", []), rows.counts)
    yield from write_runs(by_table.get("runs", []))
    yield from write_mailboxes(by_table.get("mailboxes", []))
    yield from write_entries(by_table.get("entries", []))
    yield from write_purges(rows.purged_before, rows.entries.keys(), rows.purged)


def _apply(rows: WorkingSet, batch: Commands, now: int) -> Outcome:
    try:
        return apply_batch(rows, batch, now)[0]
    except Exception as error:
        return error


def _groups(batches: Sequence[Commands]) -> Iterable[Sequence[Commands]]:
    group: list[Commands] = []
    for batch in batches:
        if any(isinstance(command, Purge) for command in batch):
            if group:
                yield group
            yield [batch]
            group = []
        else:
            group.append(batch)
    if group:
        yield group
