"""Mailboxes: the queries for entries, for states and for summaries."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple, assert_never

import msgspec

from treadle.backends._damage import DamageLog
from treadle.backends.sql._listing import (
    Placed,
    behind,
    conditions_of,
    offset_and_limit,
    page_of_rows,
    read_cursor_page,
    without_none,
)
from treadle.backends.sql._reporting import read_counts
from treadle.backends.sql.program import Program, Read, Row, direction_of
from treadle.backends.sql.rows import (
    read_claim,
    read_entry,
    read_mailbox,
    readable,
)
from treadle.backends.sql.tables import (
    text_value,
    to_json,
)
from treadle.core.entry_groups import EntryGroup
from treadle.core.limits import clamp_counted
from treadle.core.mailbox_queries import (
    Claim,
    CountEntries,
    FoundEntries,
    ListEntries,
    ListMailboxes,
    ListMailboxSummaries,
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
)


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
        # The statement finds the text of an error in its JSON, whose escapes are not text.
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
    values = without_none(filters)
    conditions = [*values, *searched.conditions]
    values |= {"mailbox_id": query.mailbox_id, "status": searched.status, "now": now}
    sort = (query.by, "entry_id")
    start = query.start()
    if start is not None:
        conditions.append("behind")
        values |= behind(sort, start.order)
    direction = direction_of(query.order)
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


def list_summaries(query: ListMailboxSummaries, damage: DamageLog) -> Program[MailboxSummaryPage]:
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


def _list_states(query: ListMailboxSummaries) -> Read:
    by_id = query.by == "id"
    sort = ("mailbox_id",) if by_id else (query.by, "mailbox_id")
    start = query.start()
    direction = direction_of(query.order)
    if start is None:
        return Read("list_mailbox_summaries", {}, (), direction, sort)
    place = (start.id,) if by_id else start.order
    return Read("list_mailbox_summaries", behind(sort, place), ("behind",), direction, sort)


def count_entries(query: CountEntries) -> Program[MailboxStats]:
    """How many entries there are in each status."""
    conditions, values = conditions_of(query)
    (rows,) = yield (Read("count_entries", values, conditions),)
    counts = {status: count for status, count in rows if status in STATUSES}
    return msgspec.convert(counts, type=MailboxStats)
