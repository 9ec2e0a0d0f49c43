"""The read set: the rows that a group of batches touches, known before any of them is applied.

A database loads these rows first, and locks them. A command that reads a row outside its read set
gets an error, never a wrong answer.
"""

import msgspec

from treadle.core.limits import LARGEST_TIME


class ReadSet(msgspec.Struct):
    """Ids of the rows to load. Each command adds its own in `Command.touches`."""

    threads: set[str] = msgspec.field(default_factory=set)
    labels: set[str] = msgspec.field(default_factory=set)
    """Those of `threads` that are loaded with owner, parent and metadata."""
    children_of: dict[str, int] = msgspec.field(default_factory=dict)
    """Threads by id, and how many of the threads below each one are ignored if they are found."""
    wholes: set[str] = msgspec.field(default_factory=set)
    """Those of `threads` that are loaded as a whole."""
    steps: set[str] = msgspec.field(default_factory=set)
    """Those of `wholes` that are loaded with the steps that led to them."""
    messages: set[tuple[str, str]] = msgspec.field(default_factory=set)
    """Pairs of a thread's id and the id of a message that the thread may already have."""
    messages_from: dict[str, int] = msgspec.field(default_factory=dict)
    """Threads by id, and the position from which their messages are loaded."""
    last_messages: dict[str, int] = msgspec.field(default_factory=dict)
    """Threads by id, and how many messages before that position, or the end, are loaded."""
    runs: set[str] = msgspec.field(default_factory=set)
    runs_of: set[str] = msgspec.field(default_factory=set)
    """Entries whose active runs are loaded."""
    runs_in: set[str] = msgspec.field(default_factory=set)
    """Mailboxes whose unfinished entries have their active runs loaded."""
    runs_of_keys: set[tuple[str, str]] = msgspec.field(default_factory=set)
    """Those of `duplicates` whose entries have their active runs loaded."""
    waiting_runs_in: set[str] = msgspec.field(default_factory=set)
    """Threads whose waiting runs are loaded, if they name an entry."""
    entries: set[str] = msgspec.field(default_factory=set)
    """Entries, without their payloads; the state of each one's mailbox is loaded with it."""
    payloads: set[str] = msgspec.field(default_factory=set)
    """Those of `entries` that are loaded with their payloads, because a command returns them."""
    mailboxes: set[str] = msgspec.field(default_factory=set)
    duplicates: set[tuple[str, str]] = msgspec.field(default_factory=set)
    """Pairs of a mailbox's id and a dedupe key that the mailbox may have seen."""
    claimed_beside: set[str] = msgspec.field(default_factory=set)
    """Entries whose mailboxes' claimed entries are loaded too."""
    claimed_in: set[str] = msgspec.field(default_factory=set)
    """Mailboxes whose claimed entries are loaded, for entries that the batch itself puts there."""
    waiting: dict[str, int] = msgspec.field(default_factory=dict)
    """Entries by id, and how many waiting entries of each one's mailbox are loaded, the first ones.

    The claimed entries of the mailbox are loaded, too.
    """
    unfinished: set[str] = msgspec.field(default_factory=set)
    """Mailboxes whose queued and claimed entries are all loaded."""
    entries_of: set[str] = msgspec.field(default_factory=set)
    """Mailboxes whose entries are all loaded, without their payloads."""
    ended_before: set[int] = msgspec.field(default_factory=set)
    """Times before which ended entries of all mailboxes are purged."""
    documents: set[str] = msgspec.field(default_factory=set)
    """Documents by `row_key`, without their values."""
    absent_documents: set[str] = msgspec.field(default_factory=set)
    """Those of `documents` that nobody may create at the same time if they do not exist."""
    document_ranges: set[tuple[str, str, str | None]] = msgspec.field(default_factory=set)
    """Ranges of joined keys of a collection (see `KeyRange`), all of whose documents are loaded."""
    expired_before: dict[int, int] = msgspec.field(default_factory=dict)
    """Times before which documents expired that are purged, and how many at most."""

    def add_child(self, thread_id: str, parent_thread_id: str | None) -> None:
        """Add a thread, and the one that it is put below.

        That one is only locked, so that nobody purges it who does not see the child yet.
        """
        self.threads.add(thread_id)
        if parent_thread_id is not None:
            self.threads.add(parent_thread_id)

    def add_children_of(self, thread_id: str, ignored: int) -> None:
        """Add the threads right below a thread, so many that one is among them that counts."""
        self.children_of[thread_id] = max(self.children_of.get(thread_id, 0), ignored)

    def first_children(self, thread_id: str) -> int:
        """Return how many of the threads right below a thread are loaded."""
        # It may be below itself, and any thread of the set may have gone elsewhere before.
        return self.children_of[thread_id] + len(self.threads) + 1

    def add_messages_from(self, thread_id: str, position: int) -> None:
        """Add the messages of a thread from a position to its end."""
        known = self.messages_from.get(thread_id, position)
        self.messages_from[thread_id] = min(known, position)

    def add_last_messages(self, thread_id: str, number: int) -> None:
        """Add `number` messages of a thread, those before the ones that are in the set already."""
        # Each of several truncations in a group takes what the ones before it have left.
        known = self.last_messages.get(thread_id, 0)
        self.last_messages[thread_id] = min(known + number, LARGEST_TIME)

    def add_waiting(self, entry_id: str, number: int) -> None:
        """Add `number` more entries that wait in the mailbox of an entry."""
        # Each of several takes in a group gets what the ones before it have left.
        self.waiting[entry_id] = min(self.waiting.get(entry_id, 0) + number, LARGEST_TIME)

    def first_waiting(self) -> int:
        """Return how many entries of each queue are loaded for the takes."""
        # The other commands may end entries that they name, by id or by dedupe key. A take then
        # passes over these.
        named = len(self.entries) + len(self.duplicates)
        return min(sum(self.waiting.values()) + named, LARGEST_TIME)

    def add_expired(self, before: int, number: int) -> None:
        """Add `number` more documents that expired before a time, those that did so first."""
        self.expired_before[before] = min(self.expired_before.get(before, 0) + number, LARGEST_TIME)

    def first_expired(self) -> int:
        """Return how many of the documents that expired before a time are loaded for the purges."""
        if self.document_ranges:  # any of them may be deleted before, with its range
            return LARGEST_TIME
        # Each purge takes what those before it have left, and may pass over what others write.
        return min(sum(self.expired_before.values()) + len(self.documents), LARGEST_TIME)

    def first_loaded(self, thread_id: str, count: int) -> int:
        """Return the position from which the messages of a thread with `count` are loaded."""
        # A truncation to a position may come before those that take some of what is left.
        end = min(self.messages_from.get(thread_id, count), count)
        return max(end - self.last_messages.get(thread_id, 0), 0)
