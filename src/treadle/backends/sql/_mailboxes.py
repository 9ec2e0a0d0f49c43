"""Mailboxes: the writes of entries and of their queue heads, and the queries."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import attrgetter, is_
from typing import NamedTuple, TypeAlias, assert_never, cast

import msgspec

from treadle.backends._damage import DamageLog
from treadle.backends.model.tables import Change
from treadle.backends.sql._listing import (
    Placed,
    behind,
    conditions_of,
    offset_and_limit,
    page_of_rows,
    read_cursor_page,
)
from treadle.backends.sql._purges import EntryPurge
from treadle.backends.sql._reporting import read_counts
from treadle.backends.sql.program import (
    Direction,
    Program,
    Read,
    Row,
    Statement,
    Values,
    writes,
    writes_in,
)
from treadle.backends.sql.rows import (
    id_column,
    read_claim,
    read_entry,
    read_mailbox,
    readable,
)
from treadle.backends.sql.tables import (
    CLAIMS,
    ENDS,
    ENTRIES,
    HEADS,
    MAILBOXES,
    PAYLOADS,
    TURNS,
    kind_of,
    text_value,
    to_json,
)
from treadle.core.claims import is_kept, turn_order
from treadle.core.entry_groups import EntryGroup
from treadle.core.limits import clamp_counted
from treadle.core.mailbox_queries import (
    Claim,
    CountEntries,
    FoundEntries,
    ListEntries,
    ListMailboxes,
    ListSummaries,
    LoadClaims,
    LoadEntry,
    LoadMailbox,
    MailboxSummary,
    MailboxSummaryPage,
    SearchEntries,
    StatePage,
    claims_of,
    latest_claim,
    mailbox_summary,
    summarized,
)
from treadle.core.mailboxes import (
    STATUSES,
    EntryPage,
    EntryStatus,
    MailboxEntry,
    MailboxPage,
    MailboxState,
    MailboxStats,
    is_terminal,
)

_fixed = attrgetter(
    *{
        column.name
        for column in (*ENTRIES.columns, *PAYLOADS.columns)
        if column.fixed and column.value is None
    }
)
"""The fields that no transition changes, but for JSON; a restored entry may replace them."""
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
        "older_than": purge.older_than,
        "statuses": to_json(list(purge.statuses)),
        "loaded": id_column(loaded),
        "counted": purge.counted,
    }
    return writes(purge_payloads=[row], purge_entries=[row])


# --- reading --------------------------------------------------------------------------------------


def load_entry(query: LoadEntry) -> Program[MailboxEntry | None]:
    """A mailbox entry, or None."""
    (rows,) = yield (Read("load_entry", {"entry_id": query.entry_id}),)
    return read_entry(rows[0]) if rows else None


def load_claims(query: LoadClaims, damage: DamageLog) -> Program[tuple[Claim | None, ...]]:
    """The claims of some entries."""
    (rows,) = yield (Read("load_claims", {"ids": sorted(set(query.entry_ids))}),)
    return claims_of(readable(read_claim, rows, damage), query.entry_ids)


def load_mailbox(query: LoadMailbox) -> Program[MailboxState | None]:
    """A mailbox's state, or None."""
    (rows,) = yield (Read("load_mailbox", {"mailbox_id": query.mailbox_id}),)
    return read_mailbox(rows[0]) if rows else None


def list_mailboxes(query: ListMailboxes, damage: DamageLog) -> Program[MailboxPage]:
    """A page of mailboxes' states."""
    page = offset_and_limit(query)
    rows, counted = yield (Read("list_mailboxes", page), Read("count_mailboxes", {}))
    return page_of_rows(MailboxPage, read_mailbox, rows, counted[0][0], query, damage)


def list_entries(query: ListEntries, damage: DamageLog) -> Program[EntryPage]:
    """A page of entries."""
    conditions, values = conditions_of(query)
    page = offset_and_limit(query)
    rows, counted = yield (
        Read("list_entries", {**values, **page}, conditions),
        Read("count_entries", values, conditions),
    )
    total = sum(count for _, count in counted)
    return page_of_rows(EntryPage, read_entry, rows, total, query, damage)


class _Searched(NamedTuple):
    """A range of an index with entries that a search is about."""

    name: str
    """The statement that reads the index."""
    conditions: tuple[str, ...] = ()
    status: EntryStatus | None = None


def search_entries(
    query: SearchEntries, damage: DamageLog, now: int | None
) -> Program[FoundEntries]:
    """A page of entries, whose ranges of indexes are merged."""

    def place(row: Row) -> Placed[MailboxEntry] | None:
        entry = read_entry(row)
        # The statement finds the text of an error in its JSON, whose escapes are no text.
        return (query.position_of(entry), entry) if query.matches(entry) else None

    reads = [_search(query, searched, now) for searched in _ranges_of(query)]
    return read_cursor_page(FoundEntries, reads, place, query.limit, damage)


def _search(query: SearchEntries, searched: _Searched, now: int | None) -> Read:
    filters = {
        "error": None if query.error is None else to_json(query.error)[1:-1],
        "claimed_by": text_value(query.claimed_by),
        "sender_id": text_value(query.sender_id),
        "origin": query.origin,
        "since": query.since,
    }
    values: dict[str, object] = {name: each for name, each in filters.items() if each is not None}
    conditions = [*values, *searched.conditions]
    values |= {"mailbox_id": query.mailbox_id, "status": searched.status, "now": now}
    sort = (query.by, "entry_id")
    start = query.start()
    if start is not None:
        conditions.append("behind")
        values |= behind(sort, start.order)
    direction: Direction = "ASC" if query.order == "asc" else "DESC"
    return Read(searched.name, values, tuple(conditions), direction, sort)


def _ranges_of(query: SearchEntries) -> Iterable[_Searched]:
    """The ranges of indexes in the order of the query."""
    statuses = query.searched_statuses()
    if query.mailbox_id is None and statuses == ("queued",):
        if query.group == "paused":
            return (_Searched("search_paused"),)
        if query.by == "available_at":
            return _due_ranges(query.group)
    if len(statuses) == len(STATUSES):
        anywhere = query.mailbox_id is None
        return (_Searched("search_by_age", () if anywhere else ("mailbox_id",)),)
    ranges = [_range_in(query, status) for status in statuses]
    match query.group:
        case "due" | "scheduled" | "retrying" | "paused":
            return [each._replace(conditions=(*each.conditions, query.group)) for each in ranges]
        case _:
            return ranges


def _due_ranges(group: EntryGroup | None) -> Iterator[_Searched]:
    """The ranges by `available_at`: what was sent without a delay is due, whatever its time."""
    if group not in ("scheduled", "retrying"):
        yield _Searched("search_undelayed")
    times = () if group is None else ("by_now",) if group == "due" else ("after_now",)
    if group != "retrying":
        yield _Searched("search_scheduled", times)
    if group != "scheduled":
        yield _Searched("search_retrying", times)


def _range_in(query: SearchEntries, status: EntryStatus) -> _Searched:
    if query.by == "available_at":
        name = "search_due_of_mailbox" if query.sender_id is None else "search_due_of_sender"
        return _Searched(name, ("mailbox_id",))
    if query.mailbox_id is None:
        return _Searched("search_entries", ("status",), status)
    match status:
        case "queued" | "claimed":
            return _Searched("search_unfinished", ("mailbox", "filter"), status)
        case "superseded" | "cancelled" | "dead_letter":
            return _Searched("search_stopped", ("mailbox", "status"), status)
        case "accepted":  # they are most of what a mailbox has had, and have no index
            return _Searched("search_by_age", ("mailbox_id", "filter"), status)
        case _:
            assert_never(status)


def list_summaries(query: ListSummaries, damage: DamageLog) -> Program[MailboxSummaryPage]:
    """A page of summaries: the states, and then what is in these mailboxes."""

    def place(row: Row) -> Placed[MailboxState]:
        state = read_mailbox(row)
        return query.position_of(state), state

    page = yield from read_cursor_page(StatePage, [_list_states(query)], place, query.limit, damage)
    if not page.items:
        return summarized(page, lambda state: MailboxSummary(state=state))
    limit = clamp_counted(query.counted)
    ids = [state.mailbox_id for state in page.items]
    looks = chain.from_iterable(read_counts(mailbox_id, limit, 0) for mailbox_id in ids)
    claims, *counted = yield (Read("list_claims", {"ids": sorted(ids)}), *looks)
    claimed: dict[str, list[MailboxEntry]] = defaultdict(list)
    for entry in readable(read_claim, claims, damage):
        claimed[entry.mailbox_id].append(entry)
    rows = [row for (row,) in counted]
    looked = dict(zip(ids, zip(rows[::2], rows[1::2], strict=True), strict=True))

    def summary(state: MailboxState) -> MailboxSummary:
        queued, settled = looked[state.mailbox_id]
        return _summary(state, queued, settled, latest_claim(claimed[state.mailbox_id]), limit)

    return summarized(page, summary)


def _summary(
    state: MailboxState, queued: Row, settled: Row, held: MailboxEntry | None, limit: int
) -> MailboxSummary:
    """The summary of a mailbox, from the rows of a look at it."""
    _, due, scheduled, retrying, due_at, _, claimed, dead = queued
    accepted, superseded, cancelled, newest = settled
    waiting = due + scheduled + retrying
    return mailbox_summary(
        state,
        {
            "queued": waiting,
            "claimed": claimed,
            "accepted": accepted,
            "superseded": superseded,
            "cancelled": cancelled,
            "dead_letter": dead,
        },
        due_at=due_at if isinstance(due_at, int) else None,
        held=held,
        more=max(waiting, claimed, dead, newest) >= limit,
    )


def _list_states(query: ListSummaries) -> Read:
    by_id = query.by == "id"
    sort = ("mailbox_id",) if by_id else (query.by, "mailbox_id")
    start = query.start()
    direction: Direction = "ASC" if query.order == "asc" else "DESC"
    if start is None:
        return Read("list_summaries", {}, (), direction, sort)
    place = (start.id,) if by_id else start.order
    return Read("list_summaries", behind(sort, place), ("behind",), direction, sort)


def count_entries(query: CountEntries) -> Program[MailboxStats]:
    """How many entries there are in each status."""
    conditions, values = conditions_of(query)
    (rows,) = yield (Read("count_entries", values, conditions),)
    counts = {status: count for status, count in rows if status in STATUSES}
    return msgspec.convert(counts, type=MailboxStats)
