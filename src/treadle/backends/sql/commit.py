"""Committing: load the read set of the batches, apply the commands to it, write what changed."""

from collections.abc import Iterable, Sequence

from treadle.backends.model.apply import apply_batch, read_set_of
from treadle.backends.model.tables import Change
from treadle.backends.sql.loading import reads_of
from treadle.backends.sql.mailboxes import write_entries, write_mailboxes, write_purges
from treadle.backends.sql.program import Program, Read, Statement
from treadle.backends.sql.rows import id_list
from treadle.backends.sql.runs import write_runs
from treadle.backends.sql.threads import write_threads
from treadle.backends.sql.working_set import WorkingSet
from treadle.core.commands import Commands, Receipt
from treadle.core.mailboxes import Purge
from treadle.core.read_set import ReadSet

Outcome = Receipt | Exception


def commit(batches: Sequence[Commands], now: int | None) -> Program[list[Outcome]]:
    """Commit batches in their order. Each succeeds or fails by itself; a failed one leaves nothing.

    Without `now`, the database's clock is read once the rows are locked.
    """
    outcomes: list[Outcome] = []
    for group in _groups(batches):
        rows, clock = yield from load(read_set_of(group), now)
        outcomes += [_apply(rows, batch, clock) for batch in group]
        writes = tuple(write(rows))
        if writes:
            yield writes
    return outcomes


def load(read_set: ReadSet, now: int | None) -> Program[tuple[WorkingSet, int]]:
    """Load a read set, all of it at once, and the database's clock if `now` is None."""
    reads = reads_of(read_set)
    times = sorted(read_set.ended_before)
    loaded = id_list(read_set.entries)
    counts = [Read("count_ended", {"older_than": time, "loaded": loaded}) for time in times]
    clock = [Read("clock", {})] if now is None else []
    wanted = (*reads, *counts, *clock)
    answers = (yield wanted) if wanted else []
    rows = WorkingSet(read_set)
    rows.fill((read.name for read in reads), answers[: len(reads)])
    counted = answers[len(reads) : len(reads) + len(counts)]
    rows.ended = {time: count[0][0] for time, count in zip(times, counted, strict=True)}
    return rows, answers[-1][0][0] if now is None else now


def write(rows: WorkingSet) -> Iterable[Statement]:
    """The statements that write the changed rows."""
    by_table: dict[str, list[Change]] = {}
    # Sorted by key: two transactions that insert the same keys do so in the same order, so neither
    # waits for the other while the other waits for it.
    for change in sorted(rows.changes(), key=lambda change: change.key):
        by_table.setdefault(change.table, []).append(change)
    if threads := by_table.get("threads"):
        yield from write_threads(threads, rows.counts)
    if runs := by_table.get("runs"):
        yield from write_runs(runs)
    if mailboxes := by_table.get("mailboxes"):
        yield from write_mailboxes(mailboxes)
    if entries := by_table.get("entries"):
        yield from write_entries(entries)
    if rows.purged_before:
        yield from write_purges(rows.purged_before, rows.loaded_entry_ids(), rows.purged)


def _apply(rows: WorkingSet, batch: Commands, now: int) -> Outcome:
    try:
        return apply_batch(rows, batch, now)[0]
    except Exception as error:
        return error


def _groups(batches: Sequence[Commands]) -> Iterable[Sequence[Commands]]:
    """A batch that purges is a group by itself: it counts rows that the others may change."""
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
