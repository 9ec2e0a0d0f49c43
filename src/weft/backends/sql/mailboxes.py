"""Mailboxes: entries and the lanes they wait in; what is read of them."""

from collections.abc import Iterable, Sequence

import msgspec

from weft.backends.memory.tables import Change
from weft.backends.sql.listing import conditions_of, offset_and_limit
from weft.backends.sql.program import Program, Read, Statement, Values, Write
from weft.backends.sql.rows import (
    entry_values,
    id_list,
    mailbox_values,
    read_entry,
    read_mailbox,
)
from weft.core.mailboxes import EntryPage, EntryQuery, MailboxEntry, MailboxState, MailboxStats


def write_mailboxes(changes: Sequence[Change]) -> Iterable[Statement]:
    """The statements that carry out changes of mailboxes' states."""
    states = [change.after for change in changes if isinstance(change.after, MailboxState)]
    if states:
        yield Write("upsert_mailbox", [mailbox_values(state) for state in states])


def write_entries(changes: Sequence[Change]) -> Iterable[Statement]:
    """The statements that carry out changes of entries, and bring lanes and leases up to date."""
    before = [change.before for change in changes if isinstance(change.before, MailboxEntry)]
    after = [change.after for change in changes if isinstance(change.after, MailboxEntry)]
    gone = [{"entry_id": change.key} for change in changes if change.after is None]
    new = [entry_values(entry) for entry in after if entry.entry_id not in _ids(before)]
    changed = [entry_values(entry) for entry in after if entry.entry_id in _ids(before)]
    for name, rows in (
        ("delete_payload", gone),
        ("delete_entry", gone),
        ("insert_entry", new),
        ("insert_payload", new),
        ("update_entry", changed),
    ):
        if rows:
            yield Write(name, rows)
    yield from _write_lanes(before, after)
    yield from _write_leases(before, after)


def write_purges(times: Sequence[int], loaded: Iterable[str]) -> Iterable[Statement]:
    """The statements that take away what ended before each time and was not looked at."""
    if times:
        row = {"older_than": max(times), "loaded": id_list(loaded)}
        yield Write("purge_payloads", [row])
        yield Write("purge_entries", [row])


def _write_lanes(
    before: Sequence[MailboxEntry], after: Sequence[MailboxEntry]
) -> Iterable[Statement]:
    """An entry that waits is offered to its lane; a lane that loses its head moves on."""
    waits = {entry.entry_id: _lane(entry) for entry in after if entry.status == "queued"}
    left = [
        _lane(entry)
        for entry in before
        if entry.status == "queued" and waits.get(entry.entry_id) != _lane(entry)
    ]
    if left:
        yield Write("leave_lane", left)
        yield Write("advance_lane", left)
    if waits:
        yield Write("offer_lane", list(waits.values()))


def _write_leases(
    before: Sequence[MailboxEntry], after: Sequence[MailboxEntry]
) -> Iterable[Statement]:
    """A mailbox knows the last end of a lease on its entries; while there is one, it is parked."""
    touched = {entry.mailbox_id for entry in (*before, *after) if entry.status == "claimed"}
    if touched:
        mailboxes = [{"mailbox_id": mailbox_id} for mailbox_id in sorted(touched)]
        yield Write("refresh_lease", mailboxes)
        yield Write("park_lanes", mailboxes)


def _ids(entries: Sequence[MailboxEntry]) -> set[str]:
    return {entry.entry_id for entry in entries}


def _lane(entry: MailboxEntry) -> Values:
    return {
        "mailbox_id": entry.mailbox_id,
        "priority": entry.priority,
        "available_at": entry.available_at,
        "created_at": entry.created_at,
        "entry_id": entry.entry_id,
    }


# --- reading --------------------------------------------------------------------------------------


def load_entry(entry_id: str) -> Program[MailboxEntry | None]:
    """A mailbox entry, or None."""
    (rows,) = yield (Read("load_entry", {"entry_id": entry_id}),)
    return read_entry(rows[0]) if rows else None


def load_mailbox(mailbox_id: str) -> Program[MailboxState | None]:
    """A mailbox's state, or None."""
    (rows,) = yield (Read("load_mailbox", {"mailbox_id": mailbox_id}),)
    return read_mailbox(rows[0]) if rows else None


def list_entries(query: EntryQuery) -> Program[EntryPage]:
    """A page of entries."""
    conditions, values = conditions_of(query, ("mailbox_id", "status", "origin"))
    page = offset_and_limit(query.offset, query.limit)
    rows, counted = yield (
        Read("list_entries", {**values, **page}, conditions),
        Read("count_entries", values, conditions),
    )
    total = sum(count for _, count in counted)
    return EntryPage(
        items=tuple(read_entry(row) for row in rows),
        total=total,
        has_more=page["offset"] + page["limit"] < total,
    )


def count_entries(mailbox_id: str | None) -> Program[MailboxStats]:
    """How many entries there are in each status."""
    conditions: tuple[str, ...] = () if mailbox_id is None else ("mailbox_id",)
    (rows,) = yield (Read("count_entries", {"mailbox_id": mailbox_id}, conditions),)
    return msgspec.convert(dict(rows), type=MailboxStats)
