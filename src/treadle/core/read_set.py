"""The read set: the rows that a group of batches touches, known before any of them is applied.

A database loads (and locks) these rows first. A command that reads a row outside of its read set
gets an error, never a wrong answer.
"""

import msgspec


class ReadSet(msgspec.Struct):
    """Ids of the rows to load. Each command adds its own in `Command.touches`."""

    threads: set[str] = msgspec.field(default_factory=set)
    labels: set[str] = msgspec.field(default_factory=set)
    """Those of `threads` that are loaded with owner, parent and metadata."""
    messages: set[tuple[str, str]] = msgspec.field(default_factory=set)
    """Pairs of a thread's id and the id of a message that the thread may already have."""
    runs: set[str] = msgspec.field(default_factory=set)
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
    unfinished: set[str] = msgspec.field(default_factory=set)
    """Mailboxes whose queued and claimed entries are all loaded."""
    ended_before: set[int] = msgspec.field(default_factory=set)
    """Times before which ended entries are purged."""
    documents: set[str] = msgspec.field(default_factory=set)
    """Documents by `row_key`, without their values."""
    absent_documents: set[str] = msgspec.field(default_factory=set)
    """Those of `documents` that nobody may create at the same time if they do not exist."""
    document_ranges: set[tuple[str, str, str | None]] = msgspec.field(default_factory=set)
    """Ranges of joined keys of a collection (see `KeyRange`), all of whose documents are loaded."""
    expired_before: set[int] = msgspec.field(default_factory=set)
    """Times before which documents expired that are purged; all of them are loaded."""
