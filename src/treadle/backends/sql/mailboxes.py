"""Mailboxes: writes of entries and of their queue heads, and the queries."""

from collections.abc import Iterable, Sequence
from operator import attrgetter, is_

import msgspec

from treadle.backends.model.tables import Change
from treadle.backends.sql.listing import conditions_of, offset_and_limit
from treadle.backends.sql.program import Program, Read, Statement, Values, writes
from treadle.backends.sql.rows import (
    change_values,
    entry_values,
    id_list,
    mailbox_values,
    payload_values,
    read_entry,
    read_mailbox,
)
from treadle.core.mailboxes import (
    CountEntries,
    EntryPage,
    ListEntries,
    ListMailboxes,
    LoadEntry,
    LoadMailbox,
    MailboxEntry,
    MailboxPage,
    MailboxState,
    MailboxStats,
)
from treadle.core.pages import page_with

_fixed = attrgetter(
    "mailbox_id",
    "origin",
    "sender_id",
    "priority",
    "dedupe_key",
    "created_at",
    "payload",
    "extra",
)
"""What no transition changes; a restored entry may."""


def write_mailboxes(changes: Sequence[Change]) -> Iterable[Statement]:
    """The statements that carry out changes of mailboxes' states."""
    new: list[Values] = []
    changed: list[Values] = []
    for change in changes:
        if isinstance(change.after, MailboxState):
            (new if change.before is None else changed).append(mailbox_values(change.after))
    return writes(insert_mailbox=new, update_mailbox=changed)


def write_entries(changes: Sequence[Change]) -> Iterable[Statement]:
    """The statements that write changed entries, and bring queue heads and leases up to date."""
    before = [change.before for change in changes if isinstance(change.before, MailboxEntry)]
    after = [change.after for change in changes if isinstance(change.after, MailboxEntry)]
    moved = {change.key for change in changes if _has_moved(change)}
    gone = [{"entry_id": entry.entry_id} for entry in before if entry.entry_id not in moved]
    arrived = [entry for entry in after if entry.entry_id not in moved]
    new = [entry_values(entry) for entry in arrived]
    changed = [change_values(entry) for entry in after if entry.entry_id in moved]
    yield from writes(
        delete_payload=gone,
        delete_entry=gone,
        insert_entry=new,
        insert_payload=[payload_values(entry) for entry in arrived],
        update_entry=changed,
    )
    held = {entry.mailbox_id for entry in (*before, *after) if entry.status == "claimed"}
    mailboxes = [{"mailbox_id": mailbox_id} for mailbox_id in sorted(held)]
    yield from writes(refresh_lease=mailboxes)
    yield from _write_heads(before, after)
    yield from writes(block_heads=mailboxes)


def write_purges(times: Sequence[int], loaded: Iterable[str], counted: int) -> Iterable[Statement]:
    """The statements that take away what ended before each time and was not looked at.

    `counted` is how many there were, for databases in which others write at the same time.
    """
    if not times:
        return ()
    row = {"older_than": max(times), "loaded": id_list(loaded), "counted": counted}
    return writes(purge_payloads=[row], purge_entries=[row])


def _write_heads(
    before: Sequence[MailboxEntry], after: Sequence[MailboxEntry]
) -> Iterable[Statement]:
    """A waiting entry may become its queue's head; a queue that loses its head gets the next."""
    waits = {entry.entry_id: _as_head(entry) for entry in after if entry.status == "queued"}
    left = [
        _as_head(entry)
        for entry in before
        if entry.status == "queued" and waits.get(entry.entry_id) != _as_head(entry)
    ]
    return writes(remove_head=left, promote_head=left, upsert_head=list(waits.values()))


def _has_moved(change: Change) -> bool:
    """Whether an entry is what it was but for what transitions change."""
    before, after = change.before, change.after
    if not isinstance(before, MailboxEntry) or not isinstance(after, MailboxEntry):
        return False
    return all(map(is_, _fixed(before), _fixed(after)))


def _as_head(entry: MailboxEntry) -> Values:
    return {
        "mailbox_id": entry.mailbox_id,
        "priority": entry.priority,
        "available_at": entry.available_at,
        "created_at": entry.created_at,
        "entry_id": entry.entry_id,
    }


# --- reading --------------------------------------------------------------------------------------


def load_entry(query: LoadEntry) -> Program[MailboxEntry | None]:
    """A mailbox entry, or None."""
    (rows,) = yield (Read("load_entry", {"entry_id": query.entry_id}),)
    return read_entry(rows[0]) if rows else None


def load_mailbox(query: LoadMailbox) -> Program[MailboxState | None]:
    """A mailbox's state, or None."""
    (rows,) = yield (Read("load_mailbox", {"mailbox_id": query.mailbox_id}),)
    return read_mailbox(rows[0]) if rows else None


def list_mailboxes(query: ListMailboxes) -> Program[MailboxPage]:
    """A page of mailboxes' states."""
    page = offset_and_limit(query)
    rows, counted = yield (Read("list_mailboxes", page), Read("count_mailboxes", {}))
    return page_with(MailboxPage, (read_mailbox(row) for row in rows), counted[0][0], query)


def list_entries(query: ListEntries) -> Program[EntryPage]:
    """A page of entries."""
    conditions, values = conditions_of(query, ("mailbox_id", "status", "origin"))
    page = offset_and_limit(query)
    rows, counted = yield (
        Read("list_entries", {**values, **page}, conditions),
        Read("count_entries", values, conditions),
    )
    return page_with(
        EntryPage, (read_entry(row) for row in rows), sum(count for _, count in counted), query
    )


def count_entries(query: CountEntries) -> Program[MailboxStats]:
    """How many entries there are in each status."""
    conditions, values = conditions_of(query, ("mailbox_id",))
    (rows,) = yield (Read("count_entries", values, conditions),)
    return msgspec.convert(dict(rows), type=MailboxStats)
