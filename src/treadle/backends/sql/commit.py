"""Committing: load the read set of the batches, apply the commands to it, write what changed."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any

from treadle.backends._damage import DamageLog
from treadle.backends._hints import hints_of
from treadle.backends.model.apply import apply_batch, read_set_of
from treadle.backends.model.tables import Change, TableName, VersionSource
from treadle.backends.sql._documents import write_documents
from treadle.backends.sql._loading import read_unclaimed, reads_of
from treadle.backends.sql._mailbox_writes import (
    write_deletions,
    write_entries,
    write_mailboxes,
    write_purge,
)
from treadle.backends.sql._runs import write_runs
from treadle.backends.sql._threads import write_threads
from treadle.backends.sql.loaded_rows import NotLoaded
from treadle.backends.sql.program import Program, Read, Statement
from treadle.backends.sql.rows import has_payload
from treadle.backends.sql.working_set import StaleRead, WorkingSet
from treadle.core.commands import Commands, Receipt
from treadle.core.hints import ANYTHING, Hint
from treadle.core.limits import LARGEST_TIME
from treadle.core.mailbox_commands import Interrupted
from treadle.core.mailbox_deletion import Purge
from treadle.core.mailboxes import MailboxEntry, Sent
from treadle.core.read_set import ReadSet

Outcome = Receipt | Exception

_KEY = attrgetter("key")


def commit(
    batches: Sequence[Commands],
    now: int | None,
    damage: DamageLog,
    versions: VersionSource,
    hints: set[Hint],
) -> Program[list[Outcome]]:
    """Commit batches in their order. Each succeeds or fails by itself; a failed one leaves nothing.

    Without `now`, the database's clock is read once the rows are locked. `damage` notes the records
    that cannot be read and that a command leaves out; `versions` are for documents. Hints about the
    changes are added to `hints`; the caller gives them to listeners, after the transaction.

    Raises:
        StaleRead: another transaction has inserted an entry in the meantime.
    """
    outcomes: list[Outcome] = []
    for group in _groups(batches):
        read_set = read_set_of(group)
        reads = reads_of(read_set)
        asked = tuple(reads) if now is not None else (*reads, Read("clock", {}))
        answers = (yield asked) if asked else []
        clock = answers.pop()[0][0] if now is None else now
        rows = WorkingSet(read_set, versions)
        unlocked = rows.fill(reads, answers, damage)
        if read_set.claimed_beside:
            unlocked |= yield from _load_unclaimed(rows, read_set, damage)
        if read_set.waiting:
            yield from _look_further(rows, reads, damage)
        if unlocked:
            yield from _require_missing(unlocked)
        for batch in group:
            outcomes.append(_apply(rows, batch, clock))
            _require_payloads(outcomes[-1])
        rows_changed = rows.changes()
        hints |= hints_of(rows_changed)
        if read_set.ended_before and rows.purges.deletes_any():
            hints.add(ANYTHING)
        writes = write(rows, read_set, rows_changed)
        rows.release()
        if writes:
            yield tuple(writes)
    return outcomes


def _load_unclaimed(
    rows: WorkingSet, read_set: ReadSet, damage: DamageLog
) -> Program[frozenset[str]]:
    """Load the entries that a command takes for claimed, and that nobody holds."""
    entries = rows.entries
    again = read_unclaimed(read_set, lambda key: entries.is_loaded(key) or key in entries.damaged)
    return rows.fill(again, (yield tuple(again)), damage) if again else frozenset()


def _look_further(rows: WorkingSet, reads: Iterable[Read], damage: DamageLog) -> Program[None]:
    """Load the entries that wait behind those that cannot be read, for takes."""
    for read in reads:
        if read.name != "load_waiting":
            continue
        hidden = 0
        while len(rows.entries.damaged) > hidden:
            hidden = len(rows.entries.damaged)
            further = {**read.values, "number": min(read.values["number"] + hidden, LARGEST_TIME)}
            again = Read(read.name, further)
            (found,) = yield (again,)
            rows.fill((again,), (found,), damage)


def _require_missing(mailboxes: Iterable[str]) -> Program[None]:
    """Check that mailboxes do not exist, although entries are in them; that is damage.

    Raises:
        StaleRead: one exists by now.
    """
    for mailbox_id in mailboxes:
        (found,) = yield (Read("load_mailbox", {"mailbox_id": mailbox_id}),)
        if found:
            raise StaleRead(mailbox_id)


def write(rows: WorkingSet, read_set: ReadSet, rows_changed: Iterable[Change]) -> list[Statement]:
    """The statements that write the changed rows."""
    changes: defaultdict[TableName, list[Change]] = defaultdict(list)
    # Sorted by key: two transactions that insert the same keys do so in the same order, so neither
    # waits for the other while the other waits for it.
    for change in sorted(rows_changed, key=_KEY):
        changes[change.table].append(change)
    statements: list[Statement] = []
    if threads := changes.get("threads"):
        statements += write_threads(threads, rows.locked_threads)
    if runs := changes.get("runs"):
        statements += write_runs(runs)
    mailboxes = changes.get("mailboxes")
    if mailboxes:
        statements += write_mailboxes(mailboxes)
    if entries := changes.get("entries"):
        statements += write_entries(entries)
    if mailboxes:
        statements += write_deletions(mailboxes, rows.unreadable_entries)
    if read_set.ended_before:
        for purge in rows.purges.asked:
            statements += write_purge(purge, rows.loaded_entry_ids())
    documents = changes.get("documents", ())
    if documents or (statements and read_set.absent_documents):
        statements += write_documents(documents, rows.absent_documents())
    return statements


def _apply(rows: WorkingSet, batch: Commands, now: int) -> Outcome:
    try:
        return apply_batch(rows, batch, now)[0]
    except Exception as error:
        return error


def _require_payloads(outcome: Outcome) -> None:
    """Refuse results without payloads, before anything is written.

    Raises:
        NotLoaded: a command returns an entry that its `touches` did not add to `payloads`.
    """
    for result in outcome.results if isinstance(outcome, Receipt) else ():
        entries_of = _ENTRIES_OF.get(type(result))
        for entry in entries_of(result) if entries_of else ():
            if not has_payload(entry):
                raise NotLoaded(f"the payload of entry {entry.entry_id!r}")


_ENTRIES_OF: dict[type, Callable[[Any], Sequence[MailboxEntry]]] = {
    MailboxEntry: lambda result: (result,),
    Sent: lambda result: (result.entry,),
    Interrupted: attrgetter("superseded_entries"),
    tuple: tuple,
}
"""The entries in the results of commands, by the types of the results."""


def _groups(batches: Sequence[Commands]) -> list[Sequence[Commands]]:
    """A batch that purges is a group by itself: it counts rows that the others may change."""
    if Purge not in map(type, chain.from_iterable(batches)):
        return [batches]
    groups: list[Sequence[Commands]] = []
    together: list[Commands] = []
    for batch in batches:
        if Purge in map(type, batch):
            if together:
                groups.append(together)
            groups.append([batch])
            together = []
        else:
            together.append(batch)
    if together:
        groups.append(together)
    return groups
