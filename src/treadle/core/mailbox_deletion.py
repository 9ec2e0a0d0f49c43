"""Commands that delete entries: those that ended before a time, or a mailbox with all of them."""

from collections.abc import Iterable

from treadle.core.commands import Command
from treadle.core.ids import MailboxId
from treadle.core.limits import Time
from treadle.core.mailboxes import (
    SETTLED,
    STATUSES,
    TERMINAL,
    EntryStatus,
    MailboxEntry,
    MailboxRows,
    is_terminal,
)
from treadle.core.read_set import ReadSet
from treadle.core.run_closing import ClosingRows, close_runs
from treadle.errors import InvalidValue

DELETION_REASON = "its mailbox was deleted"
"""Text in `termination_detail` of runs whose entry was deleted before it ended."""


class Purge(Command[int], frozen=True, kw_only=True):
    """Deletes entries that ended before a time (unix milliseconds). Result: how many.

    They are those in one of `statuses`, of one mailbox or, without `mailbox_id`, of all.
    """

    ended_before: Time
    mailbox_id: MailboxId | None = None
    statuses: tuple[EntryStatus, ...] = SETTLED

    def check(self) -> None:
        """Refuse statuses of entries that have not ended."""
        for position, status in enumerate(self.statuses):
            if status not in TERMINAL:
                reason = f"entries that are {status} have not ended; cancel them first"
                raise InvalidValue(f"purge.statuses[{position}]", reason)

    def touches(self, read_set: ReadSet) -> None:
        """The mailbox's entries; of all mailboxes they are counted and not loaded."""
        if self.mailbox_id is None:
            read_set.ended_before.add(self.ended_before)
        else:
            read_set.mailboxes.add(self.mailbox_id)
            read_set.entries_of.add(self.mailbox_id)

    def apply(self, rows: MailboxRows, now: int) -> int:
        """Remove the entries."""
        if self.mailbox_id is None:
            return rows.purge(self.ended_before, self.statuses)
        ended = rows.find_entries(self.mailbox_id, self.statuses)
        return _remove(rows, [entry for entry in ended if entry.updated_at < self.ended_before])


class DeleteMailbox(Command[int], frozen=True, kw_only=True):
    """Deletes a mailbox with its entries, in whatever status. Result: how many entries it had.

    The holder of a claimed entry has lost it, and runs are closed, as if it had been cancelled.
    """

    mailbox_id: MailboxId

    def touches(self, read_set: ReadSet) -> None:
        """The mailbox, its entries, and the active runs of those that have not ended."""
        read_set.mailboxes.add(self.mailbox_id)
        read_set.entries_of.add(self.mailbox_id)
        read_set.runs_in.add(self.mailbox_id)

    def apply(self, rows: ClosingRows, now: int) -> int:
        """Remove the entries and the state."""
        entries = list(rows.find_entries(self.mailbox_id, STATUSES))
        for entry in entries:
            if not is_terminal(entry):
                close_runs(rows, entry, "cancelled", DELETION_REASON, now)
        rows.mailboxes.remove(self.mailbox_id)
        return _remove(rows, entries)


def _remove(rows: MailboxRows, entries: Iterable[MailboxEntry]) -> int:
    """Remove entries, and return their number."""
    ids = [entry.entry_id for entry in entries]
    for entry_id in ids:
        rows.entries.remove(entry_id)
    return len(ids)
