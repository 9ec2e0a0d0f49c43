"""Queries about mailboxes: entries, states, and listings of both in pages by cursors."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from treadle.core.claims import lease_end
from treadle.core.codec import Model, always_encoded
from treadle.core.cursors import NO_TIME, CursorPage, Position, page_after, read_cursor
from treadle.core.entry_groups import EntryGroup, groups_of, look_at, statuses_of
from treadle.core.ids import EntryId, MailboxId, check_id
from treadle.core.limits import Bound, Time, clamp_counted
from treadle.core.mailboxes import (
    STATUSES,
    EntryOrigin,
    EntryPage,
    EntryStatus,
    MailboxEntry,
    MailboxPage,
    MailboxRows,
    MailboxState,
    MailboxStats,
    listing_order,
)
from treadle.core.pages import Order, PageQuery, page_of, page_with
from treadle.core.queries import Query, TimedQuery
from treadle.errors import InvalidValue

SUMMED = 1_000
"""The default of `ListMailboxSummaries.counted`."""

CLAIMS = 1_000
"""Most ids of one `LoadClaims`."""

EntryKey = Literal["created_at", "available_at"]
"""What a search for entries is sorted by; entries of one time are sorted by their ids."""

MailboxKey = Literal["id", "updated_at"]
"""What a listing of summaries is sorted by; mailboxes of one time are sorted by their ids."""


class MailboxSummary(Model, frozen=True, kw_only=True):
    """A mailbox, and what is in it."""

    state: MailboxState
    counts: MailboxStats = always_encoded(MailboxStats())
    """How many entries it has in each status, as far as they were counted."""
    more: bool = False
    """It may have more entries than were counted."""
    due_at: Time | None = None
    """When the first of its queued entries that were counted is due, or was; None if none is."""
    claimed_by: str | None = None
    """Who holds it, by the latest lease; None if nothing is claimed."""
    lease_until: Time | None = None
    """When its lease ends; None if nothing is claimed, or if the lease has no end."""


class MailboxSummaryPage(CursorPage[MailboxSummary], frozen=True, kw_only=True):
    """A page of a listing of mailboxes' summaries."""


class StatePage(CursorPage[MailboxState], frozen=True, kw_only=True):
    """The states of a page of summaries."""


class FoundEntries(CursorPage[MailboxEntry], frozen=True, kw_only=True):
    """A page of a search for entries."""


class Claim(Model, frozen=True, kw_only=True):
    """Who holds an entry, as `MailboxEntry` has it."""

    claim_token: str | None = None
    claimed_by: str | None = None
    lease_until: Time | None = None


class LoadEntry(Query[MailboxEntry | None], frozen=True, kw_only=True):
    """A mailbox entry, or None."""

    entry_id: EntryId

    def answer(self, rows: MailboxRows, now: int) -> MailboxEntry | None:
        """Look it up."""
        return rows.entries.get(self.entry_id)


class LoadClaims(Query[tuple[Claim | None, ...]], frozen=True, kw_only=True):
    """The claims of some entries, in the order of the ids; None where nothing is claimed.

    Also None where an entry cannot be read.
    """

    entry_ids: tuple[EntryId, ...]

    def check(self, where: str) -> None:
        """Refuse too many ids, and what cannot be an id."""
        if len(self.entry_ids) > CLAIMS:
            reason = f"at most {CLAIMS} at a time, not {len(self.entry_ids)}"
            raise InvalidValue(f"{where}.entry_ids", reason)
        for entry_id in self.entry_ids:
            check_id("entry", entry_id)

    def answer(self, rows: MailboxRows, now: int) -> tuple[Claim | None, ...]:
        """Look each of them up."""
        return claims_of(rows.entries.find(dict.fromkeys(self.entry_ids)), self.entry_ids)


def claims_of(
    entries: Iterable[MailboxEntry], entry_ids: Iterable[str]
) -> tuple[Claim | None, ...]:
    """Return the claims of the entries with these ids, in the order of the ids."""
    claims = {
        entry.entry_id: Claim(
            claim_token=entry.claim_token,
            claimed_by=entry.claimed_by,
            lease_until=entry.lease_until,
        )
        for entry in entries
        if entry.status == "claimed"
    }
    return tuple(map(claims.get, entry_ids))


class ListEntries(PageQuery[EntryPage], frozen=True, kw_only=True):
    """A page of the entries that match all filters, oldest first."""

    mailbox_id: MailboxId | None = None
    status: EntryStatus | None = None
    origin: EntryOrigin | None = None

    def answer(self, rows: MailboxRows, now: int) -> EntryPage:
        """Filter, sort, cut."""
        statuses = STATUSES if self.status is None else (self.status,)
        found = rows.find_entries(self.mailbox_id, statuses)
        matching = [entry for entry in found if self.origin in (None, entry.origin)]
        entries = sorted(matching, key=listing_order)
        return page_of(EntryPage, entries, self, rows.entries.unreadable())


class SearchEntries(TimedQuery[FoundEntries], frozen=True, kw_only=True):
    """A page of the entries that match all filters, newest first.

    By `available_at`, only queued entries are listed: the others are not due.
    """

    by: EntryKey = "created_at"
    order: Order = "desc"
    after: str | None = None
    """The cursor of a page in the same order; the next page begins after it."""
    limit: Bound = 50
    mailbox_id: MailboxId | None = None
    statuses: tuple[EntryStatus, ...] | None = None
    """Entries in one of these; None matches all."""
    group: EntryGroup | None = None
    """Entries that wait for the same thing at `now`; None matches all."""
    error: str | None = None
    """A text that `last_error` contains."""
    claimed_by: str | None = None
    """Who holds the entry; only claimed entries have a holder."""
    sender_id: str | None = None
    origin: EntryOrigin | None = None
    since: Time | None = None
    """The least `created_at`."""

    def check(self, where: str) -> None:
        """Refuse a cursor of another listing."""
        self.start(where)

    def start(self, where: str = "search_entries") -> Position[EntryKey] | None:
        """Return the position after which the page begins; None is the beginning.

        Raises:
            InvalidValue: `after` is not a cursor of this listing.
        """
        return read_cursor(Position[EntryKey], self.after, self.by, f"{where}.after")

    def searched_statuses(self) -> tuple[EntryStatus, ...]:
        """The statuses in which entries can match, each once."""
        possible: Sequence[EntryStatus] = STATUSES if self.statuses is None else self.statuses
        if self.by == "available_at":
            possible = ("queued",) if "queued" in possible else ()
        if self.claimed_by is not None:
            possible = ("claimed",) if "claimed" in possible else ()
        if self.group is not None:
            wanted = statuses_of(self.group)
            possible = [status for status in possible if status in wanted]
        return tuple(dict.fromkeys(possible))

    def matches(self, entry: MailboxEntry) -> bool:
        """Return whether `entry` passes all filters except mailbox, statuses and group."""
        return (
            (self.error is None or self._has_error(entry, self.error))
            and (self.claimed_by is None or entry.claimed_by == self.claimed_by)
            and (self.sender_id is None or entry.sender_id == self.sender_id)
            and (self.origin is None or entry.origin == self.origin)
            and (self.since is None or entry.created_at >= self.since)
        )

    def _has_error(self, entry: MailboxEntry, text: str) -> bool:
        return entry.last_error is not None and text in entry.last_error

    def position_of(self, entry: MailboxEntry) -> Position[EntryKey]:
        """Return the position of an entry in this listing."""
        return Position(self.by, getattr(entry, self.by), entry.entry_id)

    def answer(self, rows: MailboxRows, now: int) -> FoundEntries:
        """Filter, sort, cut."""
        found = rows.find_entries(self.mailbox_id, self.searched_statuses())
        matching = [
            (self.position_of(entry), entry)
            for entry in found
            if self.matches(entry)
            and (self.group is None or self.group in groups_of(rows, entry, now))
        ]
        unreadable = rows.entries.unreadable()
        return page_after(FoundEntries, self.start(), matching, self.order, self.limit, unreadable)


class CountEntries(Query[MailboxStats], frozen=True, kw_only=True):
    """The number of entries in each status, of one mailbox or of all."""

    mailbox_id: MailboxId | None = None

    def answer(self, rows: MailboxRows, now: int) -> MailboxStats:
        """Count them."""
        return msgspec.convert(rows.count_entries(self.mailbox_id), type=MailboxStats)


class LoadMailbox(Query[MailboxState | None], frozen=True, kw_only=True):
    """A mailbox's state, or None."""

    mailbox_id: MailboxId

    def answer(self, rows: MailboxRows, now: int) -> MailboxState | None:
        """Look it up."""
        return rows.mailboxes.get(self.mailbox_id)


class ListMailboxes(PageQuery[MailboxPage], frozen=True, kw_only=True):
    """A page of mailboxes' states, in order of their ids."""

    def answer(self, rows: MailboxRows, now: int) -> MailboxPage:
        """Sort the ids, cut, and look up the states of the page only."""
        ids = sorted(rows.mailboxes.keys())
        states = rows.mailboxes.find(ids[self.start : self.end])
        return page_with(MailboxPage, states, len(ids), self, rows.mailboxes.unreadable())


class ListMailboxSummaries(Query[MailboxSummaryPage], frozen=True, kw_only=True):
    """A page of the summaries of all mailboxes.

    Of each, it counts its queued entries among the oldest `counted`, its claimed entries and its
    dead letters as far as `counted`, and the others among its newest `counted` entries.
    """

    by: MailboxKey = "id"
    order: Order = "asc"
    after: str | None = None
    """The cursor of a page in the same order; the next page begins after it."""
    limit: Bound = 50
    counted: Bound = SUMMED
    """It is clamped to 1..10,000."""

    def check(self, where: str) -> None:
        """Refuse a cursor of another listing."""
        self.start(where)

    def start(self, where: str = "list_summaries") -> Position[MailboxKey] | None:
        """Return the position after which the page begins; None is the beginning.

        Raises:
            InvalidValue: `after` is not a cursor of this listing.
        """
        return read_cursor(Position[MailboxKey], self.after, self.by, f"{where}.after")

    def position_of(self, state: MailboxState) -> Position[MailboxKey]:
        """Return the position of a mailbox in this listing."""
        time = NO_TIME if self.by == "id" else state.updated_at
        return Position(self.by, time, state.mailbox_id)

    def answer(self, rows: MailboxRows, now: int) -> MailboxSummaryPage:
        """Sort the states, cut, and look at all entries once."""
        states = [(self.position_of(state), state) for state in rows.mailboxes.values()]
        unreadable = rows.mailboxes.unreadable()
        page = page_after(StatePage, self.start(), states, self.order, self.limit, unreadable)
        entries: dict[str, list[MailboxEntry]] = {state.mailbox_id: [] for state in page.items}
        for entry in rows.find_entries(None, STATUSES):
            if entry.mailbox_id in entries:
                entries[entry.mailbox_id].append(entry)
        counted = clamp_counted(self.counted)
        return summarized(page, lambda state: _summary(state, entries[state.mailbox_id], counted))


def summarized(
    page: StatePage, summary: Callable[[MailboxState], MailboxSummary]
) -> MailboxSummaryPage:
    """Return the page with a summary of each state."""
    return MailboxSummaryPage(
        items=tuple(map(summary, page.items)),
        next_cursor=page.next_cursor,
        unreadable=page.unreadable,
    )


def latest_claim(claimed: Iterable[MailboxEntry]) -> MailboxEntry | None:
    """Return the claimed entry whose lease ends last, or None."""
    return max(claimed, key=lease_end, default=None)


def _summary(state: MailboxState, entries: Sequence[MailboxEntry], limit: int) -> MailboxSummary:
    looked = look_at(entries, limit)
    counted = (*looked.queued, *looked.claimed, *looked.dead, *looked.settled)
    return mailbox_summary(
        state,
        Counter(entry.status for entry in counted),
        due_at=min((entry.available_at for entry in looked.queued), default=None),
        held=latest_claim(entry for entry in entries if entry.status == "claimed"),
        more=max(len(looked.queued), len(looked.claimed), len(looked.dead), looked.newest) >= limit,
    )


def mailbox_summary(
    state: MailboxState,
    counts: Mapping[EntryStatus, int],
    *,
    due_at: int | None,
    held: MailboxEntry | None,
    more: bool,
) -> MailboxSummary:
    """Make the summary of a mailbox; `held` is its claimed entry whose lease ends last."""
    return MailboxSummary(
        state=state,
        counts=msgspec.convert(counts, type=MailboxStats),
        more=more,
        due_at=due_at,
        claimed_by=held.claimed_by if held else None,
        lease_until=held.lease_until if held else None,
    )
