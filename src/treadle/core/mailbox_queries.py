"""Queries about mailboxes: entries, states, and listings of both in pages by cursors."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import msgspec

from treadle.core.cursors import CursorPage, Position, page_behind, read_cursor
from treadle.core.ids import EntryId, MailboxId
from treadle.core.limits import Bound
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
from treadle.core.messages import Order
from treadle.core.pages import PageQuery, page_of, page_with
from treadle.core.queries import Query

EntryKey = Literal["created_at", "available_at"]
"""What a search for entries is sorted by; entries of one time are sorted by their ids."""


class FoundEntries(CursorPage[MailboxEntry], frozen=True, kw_only=True):
    """A page of a search for entries."""


class LoadEntry(Query[MailboxEntry | None], frozen=True, kw_only=True):
    """A mailbox entry, or None."""

    entry_id: EntryId

    def answer(self, rows: MailboxRows, now: int) -> MailboxEntry | None:
        """Look it up."""
        return rows.entries.get(self.entry_id)


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


class SearchEntries(Query[FoundEntries], frozen=True, kw_only=True):
    """A page of the entries that match all filters, newest first.

    By `available_at`, only queued entries are listed: the others are not due.
    """

    by: EntryKey = "created_at"
    order: Order = "desc"
    after: str | None = None
    """The cursor of a page in the same order; the next page begins behind it."""
    limit: Bound = 50
    mailbox_id: MailboxId | None = None
    statuses: tuple[EntryStatus, ...] | None = None
    """Entries in one of these; None matches all."""
    error: str | None = None
    """A text that `last_error` contains."""
    claimed_by: str | None = None
    """Who holds the entry; only claimed entries have a holder."""
    sender_id: str | None = None
    origin: EntryOrigin | None = None

    def check(self, where: str) -> None:
        """Refuse a cursor of another listing."""
        self.start(where)

    def start(self, where: str = "search_entries") -> Position[EntryKey] | None:
        """Return the position behind which the page begins; None is the beginning.

        Raises:
            InvalidValue: `after` is no cursor of this listing.
        """
        return read_cursor(Position[EntryKey], self.after, self.by, f"{where}.after")

    def searched_statuses(self) -> tuple[EntryStatus, ...]:
        """The statuses in which entries can match, each once."""
        possible: Sequence[EntryStatus] = STATUSES if self.statuses is None else self.statuses
        if self.by == "available_at":
            possible = ("queued",) if "queued" in possible else ()
        if self.claimed_by is not None:
            possible = ("claimed",) if "claimed" in possible else ()
        return tuple(dict.fromkeys(possible))

    def matches(self, entry: MailboxEntry) -> bool:
        """Return whether the filters but for mailbox and statuses let `entry` pass."""
        return (
            (self.error is None or self._has_error(entry, self.error))
            and (self.claimed_by is None or entry.claimed_by == self.claimed_by)
            and (self.sender_id is None or entry.sender_id == self.sender_id)
            and (self.origin is None or entry.origin == self.origin)
        )

    def _has_error(self, entry: MailboxEntry, text: str) -> bool:
        return entry.last_error is not None and text in entry.last_error

    def position_of(self, entry: MailboxEntry) -> Position[EntryKey]:
        """Return the position of an entry in this listing."""
        return Position(self.by, getattr(entry, self.by), entry.entry_id)

    def answer(self, rows: MailboxRows, now: int) -> FoundEntries:
        """Filter, sort, cut."""
        found = rows.find_entries(self.mailbox_id, self.searched_statuses())
        matching = [(self.position_of(entry), entry) for entry in found if self.matches(entry)]
        unreadable = rows.entries.unreadable()
        return page_behind(FoundEntries, self.start(), matching, self.order, self.limit, unreadable)


class CountEntries(Query[MailboxStats], frozen=True, kw_only=True):
    """The number of entries in each status, of one mailbox or of all."""

    mailbox_id: MailboxId | None = None

    def answer(self, rows: MailboxRows, now: int) -> MailboxStats:
        """Count them."""
        found = rows.find_entries(self.mailbox_id, STATUSES)
        return msgspec.convert(Counter(entry.status for entry in found), type=MailboxStats)


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
