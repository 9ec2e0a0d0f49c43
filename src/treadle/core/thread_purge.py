"""Old threads: deleting one that nobody writes to, unless work waits for it."""

from collections.abc import Iterable
from typing import Protocol

from treadle.core.commands import Command
from treadle.core.ids import RunId, ThreadId, check_id
from treadle.core.limits import Time
from treadle.core.mailboxes import STATUSES, MailboxRows, is_terminal
from treadle.core.read_set import ReadSet
from treadle.core.runs import is_active
from treadle.core.thread_summaries import SummaryRows
from treadle.core.threads import ThreadMetadata


class OldThreadRows(SummaryRows, MailboxRows, Protocol):
    """The rows that the deletion of an old thread needs."""

    def damaged_entries(self, mailbox_id: str) -> Iterable[str]:
        """Return the ids of a mailbox's entries that cannot be read, as far as that is known."""
        ...


def last_written(metadata: ThreadMetadata) -> int | None:
    """When a thread was changed last, in unix milliseconds; None if that is not known."""
    return metadata.created_at if metadata.updated_at is None else metadata.updated_at


class PurgeThread(Command[int | None], frozen=True, kw_only=True):
    """Deletes a thread that was last changed before a time, and the mailbox with its id.

    Result: how many entries the mailbox had. None: the thread does not exist, or it stays, because
    it was changed since, a thread is right below it, its mailbox has entries that have not ended or
    cannot be read, or its time is not known. Its runs stay, but those that are named.
    """

    thread_id: ThreadId
    changed_before: Time
    """In unix milliseconds."""
    ignoring: tuple[ThreadId, ...] = ()
    """Threads that may be right below it: they are above it, too, and go after it."""

    runs: tuple[RunId, ...] = ()
    """Runs of the thread whose records go with it, unless one is active: then all of it stays."""

    def check(self) -> None:
        """Refuse what cannot be the id of a thread or a run."""
        for thread_id in self.ignoring:
            check_id("thread", thread_id)
        for run_id in self.runs:
            check_id("run", run_id)

    def touches(self, read_set: ReadSet) -> None:
        """The thread with its labels, those below it, the mailbox, its entries, and the runs."""
        read_set.threads.add(self.thread_id)
        read_set.runs.update(self.runs)
        read_set.add_children_of(self.thread_id, len(self.ignoring))
        read_set.labels.add(self.thread_id)
        read_set.mailboxes.add(self.thread_id)
        read_set.entries_of.add(self.thread_id)

    def apply(self, rows: OldThreadRows, now: int) -> int | None:
        """Remove the thread, the state of the mailbox, the entries, and the runs."""
        if self.thread_id not in rows.threads:
            return None
        if set(rows.find_thread_ids(None, self.thread_id)) - {self.thread_id, *self.ignoring}:
            return None
        written = last_written(rows.find_labels(self.thread_id).metadata)
        if written is None or written >= self.changed_before:
            return None
        runs = [run for each in self.runs if (run := rows.runs.get(each)) is not None]
        runs = [run for run in runs if run.thread_id == self.thread_id]
        entries = list(rows.find_entries(self.thread_id, STATUSES))
        if any(map(is_active, runs)):
            return None
        if not all(map(is_terminal, entries)) or any(rows.damaged_entries(self.thread_id)):
            return None
        for run in runs:
            rows.runs.remove(run.run_id)
        for entry in entries:
            rows.entries.remove(entry.entry_id)
        rows.mailboxes.remove(self.thread_id)
        rows.threads.remove(self.thread_id)
        return len(entries)
