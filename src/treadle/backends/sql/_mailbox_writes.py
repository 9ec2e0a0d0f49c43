"""Mailboxes: the writes of their states, of their entries, and of their queue heads."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter, is_
from typing import TypeAlias, cast

from treadle.backends.model.tables import Change
from treadle.backends.sql._purges import EntryPurge
from treadle.backends.sql.program import Statement, Values, writes, writes_in
from treadle.backends.sql.rows import id_column
from treadle.backends.sql.tables import (
    CLAIMS,
    ENDS,
    ENTRIES,
    HEADS,
    MAILBOXES,
    PAYLOADS,
    TURNS,
    kind_of,
    to_json,
)
from treadle.core.claims import is_kept, turn_order
from treadle.core.mailboxes import MailboxEntry, MailboxState, is_terminal

_fixed = attrgetter(
    *{
        column.name
        for column in (*ENTRIES.columns, *PAYLOADS.columns)
        if column.fixed and column.value is None
    }
)
"""The fields, except JSON, that no transition changes; a restored entry may replace them."""
_beside_claims = attrgetter(
    *{column.name for column in ENTRIES.columns if column.value is None and not column.fixed}
    - CLAIMS.types.keys()
)
"""The other fields that neither a claim nor its end changes."""
_pause = attrgetter("paused_at", "paused_until")
_beside_turn = attrgetter(*MAILBOXES.types.keys() - TURNS.types.keys())
"""The fields of a mailbox that a send leaves as they are."""
Queue: TypeAlias = tuple[str, int, int]
"""The mailbox, priority and kind of entries that wait in one queue."""


def write_mailboxes(changes: Sequence[Change]) -> Sequence[Statement]:
    """The statements that write changed states of mailboxes."""
    new: list[Values] = []
    changed: list[Values] = []
    turned: list[Values] = []
    paused: list[Values] = []
    for change in changes:
        before = cast("MailboxState | None", change.before)
        after = cast("MailboxState | None", change.after)
        if after is None:
            continue
        if before and all(map(is_, _beside_turn(before), _beside_turn(after))):
            turned.append(TURNS.values(after))
            continue
        (changed if before else new).append(MAILBOXES.values(after))
        if _pause(after) != (_pause(before) if before else (None, None)):
            paused.append({"mailbox_id": after.mailbox_id})
    return writes(
        insert_mailbox=new,
        update_mailbox=changed,
        update_turn=turned,
        refresh_pause=paused,
        block_heads=paused,
    )


_WRITES = (
    "delete_payload",
    "delete_entry",
    "insert_entry",
    "insert_payload",
    "update_entry",
    "update_claim",
    "end_claim",
    # Heads take from their mailbox whether they are blocked, so its lease comes first.
    "refresh_lease",
    "remove_head",
    "promote_head",
    "upsert_head",
    "refresh_kept",
    "block_heads",
)
"""The statements that write entries, in their order."""
_ORDER = {name: number for number, name in enumerate(_WRITES)}
_Rows: TypeAlias = defaultdict[str, list[Values]]
"""Rows to be written, by statement."""


def write_entries(changes: Sequence[Change]) -> Sequence[Statement]:
    """The statements that write changed entries, and bring leases and queue heads up to date."""
    rows: _Rows = defaultdict(list)
    claimed: set[str] = set()
    reordered: set[str] = set()
    waiting: dict[Queue, MailboxEntry] = {}
    for change in changes:
        before = cast("MailboxEntry | None", change.before)
        after = cast("MailboxEntry | None", change.after)
        _write_entry(rows, before, after)
        for entry in filter(None, (before, after)):
            if entry.status == "claimed":
                claimed.add(entry.mailbox_id)
            elif is_kept(entry):
                reordered.add(entry.mailbox_id)
        has_waited = before and before.status == "queued"
        waits = after and after.status == "queued"
        if before and after and has_waited and waits and head_of(before) == head_of(after):
            continue
        if before and has_waited:
            rows["remove_head"].append(_head_key(before))
        if after and waits:  # the first of each queue is enough: it is upserted once
            queue = _queue_of(after)
            first = waiting.get(queue)
            waiting[queue] = after if first is None else min(after, first, key=turn_order)
    for statement, mailboxes in (
        ("refresh_lease", claimed),
        ("refresh_kept", reordered),
        ("block_heads", claimed | reordered),
    ):
        if mailboxes:
            rows[statement] = [{"mailbox_id": mailbox_id} for mailbox_id in sorted(mailboxes)]
    if "remove_head" in rows:
        rows["promote_head"] = _shortened(rows["remove_head"])
    if waiting:
        rows["upsert_head"] = [head_of(waiting[queue]) for queue in sorted(waiting)]
    return writes_in(_ORDER, rows)


def _write_entry(rows: _Rows, before: MailboxEntry | None, after: MailboxEntry | None) -> None:
    if before and after and _has_same_fixed(before, after):
        if _beside_claims(before) != _beside_claims(after):
            rows["update_entry"].append(ENTRIES.values(after))
        elif is_terminal(before) or is_terminal(after):
            rows["end_claim"].append(ENDS.values(after))
        else:
            rows["update_claim"].append(CLAIMS.values(after))
        return
    if before:
        rows["delete_payload"].append({"entry_id": before.entry_id})
        rows["delete_entry"].append({"entry_id": before.entry_id})
    if after:
        rows["insert_entry"].append(ENTRIES.values(after))
        rows["insert_payload"].append(PAYLOADS.values(after))


def _shortened(left: Sequence[Values]) -> list[Values]:
    """The queues that heads have left, each once.

    Until a transaction ends, PostgreSQL's index still has the entries that it took out of a queue,
    and every search for the next one passes over all of them.
    """
    queues = {(row["mailbox_id"], row["priority"], row["kind"]) for row in left}
    return [
        dict(zip(("mailbox_id", "priority", "kind"), each, strict=True)) for each in sorted(queues)
    ]


def _has_same_fixed(before: MailboxEntry, after: MailboxEntry) -> bool:
    # JSON is compared by identity: it may be large, and 1 equals True.
    return (
        before.payload is after.payload
        and before.headers is after.headers
        and before.extra is after.extra
        and bool(_fixed(before) == _fixed(after))
    )


def head_of(entry: MailboxEntry) -> Values:
    """The queue head that a waiting entry makes."""
    return HEADS.values(entry)


def _head_key(entry: MailboxEntry) -> Values:
    """The key of the queue head that a waiting entry makes."""
    mailbox_id, priority, kind = _queue_of(entry)
    return {
        "mailbox_id": mailbox_id,
        "priority": priority,
        "kind": kind,
        "entry_id": entry.entry_id,
    }


def _queue_of(entry: MailboxEntry) -> Queue:
    return entry.mailbox_id, entry.priority, kind_of(entry)


def write_deletions(
    changes: Sequence[Change], unreadable: Mapping[str, Iterable[str]]
) -> Sequence[Statement]:
    """The statements that delete mailboxes, with the entries of each that are `unreadable`."""
    gone = [each.key for each in changes if each.after is None]
    mailboxes: list[Values] = [{"mailbox_id": mailbox_id} for mailbox_id in gone]
    entries: list[Values] = [
        {"entry_id": entry_id} for mailbox_id in gone for entry_id in unreadable.get(mailbox_id, ())
    ]
    return writes(
        delete_payload=entries,
        delete_entry=entries,
        delete_heads_of_mailbox=mailboxes,
        delete_mailbox=mailboxes,
    )


def write_purge(purge: EntryPurge, loaded: Iterable[str]) -> Sequence[Statement]:
    """The statements that delete entries which ended before a time and were not loaded.

    Their number goes with them, for databases in which others write at the same time.
    """
    row = {
        "ended_before": purge.ended_before,
        "statuses": to_json(list(purge.statuses)),
        "loaded": id_column(loaded),
        "counted": purge.counted,
    }
    return writes(purge_payloads=[row], purge_entries=[row])
