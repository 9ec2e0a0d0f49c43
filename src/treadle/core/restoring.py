"""Restoring: commands that put rows as they are, whatever was there, for copies of stores."""

from treadle.core.commands import Command
from treadle.core.document_keys import check_key, row_key
from treadle.core.documents import Document, DocumentRows
from treadle.core.mailboxes import MailboxEntry, MailboxRows, MailboxState, put_first_state
from treadle.core.read_set import ReadSet
from treadle.core.runs import RunRecord, RunRows
from treadle.core.threads import StoredThread, ThreadHead, ThreadRows, check_metadata


class RestoreThread(Command[None], frozen=True, kw_only=True):
    """Creates or replaces a thread at its version. Result: None."""

    head: ThreadHead

    def check(self) -> None:
        """Refuse a version in the thread's `extra`."""
        check_metadata(self.head.thread, "restoreThread.head.thread")

    def touches(self, read_set: ReadSet) -> None:
        """The thread, and its parent, which is only locked."""
        read_set.add_child(self.head.thread.id, self.head.thread.parent_thread_id)

    def apply(self, rows: ThreadRows, now: int) -> None:
        """Put the thread; its earlier deltas are unknown."""
        rows.threads.put(self.head.thread.id, StoredThread(self.head))


class RestoreRun(Command[None], frozen=True, kw_only=True):
    """Creates or replaces a run's record, with its times. Result: None."""

    run: RunRecord

    def touches(self, read_set: ReadSet) -> None:
        """The run."""
        read_set.runs.add(self.run.run_id)

    def apply(self, rows: RunRows, now: int) -> None:
        """Put the record."""
        rows.runs.put(self.run.run_id, self.run)


class RestoreEntry(Command[None], frozen=True, kw_only=True):
    """Creates or replaces an entry, in any status. Result: None.

    Its mailbox, if it has no state, gets one at the entry's generation.
    """

    entry: MailboxEntry

    def touches(self, read_set: ReadSet) -> None:
        """The entry and its mailbox."""
        read_set.entries.add(self.entry.entry_id)
        read_set.mailboxes.add(self.entry.mailbox_id)
        if self.entry.status == "claimed":
            # The same batch may extend this lease, and then compares it with the others.
            read_set.claimed_in.add(self.entry.mailbox_id)

    def apply(self, rows: MailboxRows, now: int) -> None:
        """Put the entry."""
        if rows.mailboxes.get(self.entry.mailbox_id) is None:
            put_first_state(rows, self.entry)
        rows.entries.put(self.entry.entry_id, self.entry)


class RestoreMailbox(Command[None], frozen=True, kw_only=True):
    """Creates or replaces a mailbox's state. Result: None."""

    mailbox: MailboxState

    def touches(self, read_set: ReadSet) -> None:
        """The mailbox."""
        read_set.mailboxes.add(self.mailbox.mailbox_id)

    def apply(self, rows: MailboxRows, now: int) -> None:
        """Put the state."""
        rows.mailboxes.put(self.mailbox.mailbox_id, self.mailbox)


class RestoreDocument(Command[None], frozen=True, kw_only=True):
    """Creates or replaces a document at its version. Result: None."""

    document: Document

    def check(self) -> None:
        """Refuse a key that cannot be stored."""
        check_key(self.document.key, "restoreDocument.document.key")

    def touches(self, read_set: ReadSet) -> None:
        """The document."""
        read_set.documents.add(row_key(self.document.collection, self.document.key))

    def apply(self, rows: DocumentRows, now: int) -> None:
        """Put the document."""
        key = row_key(self.document.collection, self.document.key)
        rows.documents.put(key, self.document)
