"""Reports: what waits, what is held, and what fails, in a mailbox or in all of them."""

from collections import Counter

import msgspec

from treadle.core.claims import has_expired, is_claimable
from treadle.core.codec import Model, always_encoded
from treadle.core.ids import MailboxId
from treadle.core.limits import COUNTED, PAGE, Bound, Count, Time, clamp_counted
from treadle.core.mailbox_pauses import is_paused
from treadle.core.mailboxes import (
    STATUSES,
    UNFINISHED,
    EntryStatus,
    MailboxEntry,
    MailboxRows,
    MailboxStats,
    listing_order,
)
from treadle.core.queries import Query, TimedQuery

ERRORS = 20
"""Most errors of a report."""
FAILING: tuple[EntryStatus, ...] = (*UNFINISHED, "dead_letter")
"""The statuses in which `last_error` is a failure, and not why somebody ended the entry."""


class ErrorCount(Model, frozen=True, kw_only=True):
    """An error, and how many entries have it."""

    error: str
    count: Count


class EntryReport(Model, frozen=True, kw_only=True):
    """What is in a mailbox, or in all of them, at a time."""

    at: Time
    """The time of the report."""
    counts: MailboxStats = always_encoded(MailboxStats())
    """The number of entries in each status."""
    due: Count = always_encoded(0)
    """How many of the queued entries are due, without those of paused mailboxes."""
    scheduled: Count = always_encoded(0)
    """How many were sent with a delay and are not due yet, without those of paused mailboxes."""
    retrying: Count = always_encoded(0)
    """How many wait for their next attempt, without those of paused mailboxes."""
    paused: Count = always_encoded(0)
    """How many of the queued entries are in a mailbox that is paused, due or not."""
    expired: Count = always_encoded(0)
    """How many of the claimed entries have an expired lease: their workers may have died."""
    oldest_due_at: Time | None = None
    """Since when the entry of `due` that has been due longest is due; None if none is."""
    errors: tuple[ErrorCount, ...] = ()
    """The most frequent errors of queued and claimed entries and of dead letters, at most 20."""


class ErrorGroup(Model, frozen=True, kw_only=True):
    """Dead letters with the same error."""

    error: str
    count: Count
    last_at: Time | None = None
    """When the last of them failed."""


class ErrorGroups(Model, frozen=True, kw_only=True):
    """The errors of dead letters, the most frequent ones first, at most 20."""

    items: tuple[ErrorGroup, ...] = always_encoded(())
    looked_at: Count = always_encoded(0)
    """How many dead letters were looked at."""
    more: bool = always_encoded(False)
    """There may be more of them."""


class Consumer(Model, frozen=True, kw_only=True):
    """Who holds entries."""

    name: str
    """The name in its claims."""
    claims: Count
    """How many entries it holds."""
    mailboxes: Count
    """In how many mailboxes."""
    expired: Count = always_encoded(0)
    """How many of its leases have expired: it may have died."""
    lease_until: Time | None = None
    """When the first of its leases ends, or ended; None if none ends."""


class Consumers(Model, frozen=True, kw_only=True):
    """Who holds entries: those who hold most first, at most 200."""

    at: Time
    """The time at which this is so."""
    items: tuple[Consumer, ...] = always_encoded(())
    looked_at: Count = always_encoded(0)
    """How many claimed entries were looked at."""
    more: bool = always_encoded(False)
    """There may be more of them."""


class ReportEntries(TimedQuery[EntryReport], frozen=True, kw_only=True):
    """What is in a mailbox, or in all of them."""

    mailbox_id: MailboxId | None = None

    def answer(self, rows: MailboxRows, now: int) -> EntryReport:
        """Look at all entries once."""
        entries = list(rows.find_entries(self.mailbox_id, STATUSES))
        queued = [entry for entry in entries if entry.status == "queued"]
        paused = {
            mailbox_id
            for mailbox_id in {entry.mailbox_id for entry in queued}
            if is_paused(rows.mailboxes.get(mailbox_id), now)
        }
        given = [entry for entry in queued if entry.mailbox_id not in paused]
        due = [entry for entry in given if is_claimable(entry, now)]
        waiting = [entry for entry in given if not is_claimable(entry, now)]
        retrying = sum(entry.attempt_count > 0 for entry in waiting)
        return EntryReport(
            at=now,
            counts=msgspec.convert(Counter(entry.status for entry in entries), type=MailboxStats),
            due=len(due),
            scheduled=len(waiting) - retrying,
            retrying=retrying,
            paused=len(queued) - len(given),
            expired=sum(has_expired(entry, now) for entry in entries),
            oldest_due_at=min((entry.available_at for entry in due), default=None),
            errors=_most_frequent(entries),
        )


def _most_frequent(entries: list[MailboxEntry]) -> tuple[ErrorCount, ...]:
    counted = Counter(
        entry.last_error
        for entry in entries
        if entry.status in FAILING and entry.last_error is not None
    )
    ordered = _by_count(counted)
    return tuple(ErrorCount(error=error, count=counted[error]) for error in ordered[:ERRORS])


def _by_count(counted: Counter[str]) -> list[str]:
    """The texts, most frequent first; of equal counts by their JSON, as a database sorts them."""
    return sorted(counted, key=lambda text: (-counted[text], msgspec.json.encode(text)))


class ListErrors(Query[ErrorGroups], frozen=True, kw_only=True):
    """The errors of the newest `limit` dead letters, of a mailbox or of all."""

    mailbox_id: MailboxId | None = None
    limit: Bound = COUNTED
    """How many dead letters are looked at; it is clamped to 1..10,000."""

    def answer(self, rows: MailboxRows, now: int) -> ErrorGroups:
        """Sort the dead letters, and count their errors."""
        dead = _newest(rows, self.mailbox_id, "dead_letter", clamp_counted(self.limit))
        found = [entry for entry in dead if entry.last_error is not None]
        counted = Counter(str(entry.last_error) for entry in found)
        items = tuple(
            ErrorGroup(
                error=error,
                count=counted[error],
                last_at=max(each.updated_at for each in found if each.last_error == error),
            )
            for error in _by_count(counted)[:ERRORS]
        )
        more = len(dead) == clamp_counted(self.limit)
        return ErrorGroups(items=items, looked_at=len(dead), more=more)


class ListConsumers(TimedQuery[Consumers], frozen=True, kw_only=True):
    """Who holds the newest `limit` claimed entries."""

    limit: Bound = COUNTED
    """How many claimed entries are looked at; it is clamped to 1..10,000."""

    def answer(self, rows: MailboxRows, now: int) -> Consumers:
        """Sort the claimed entries, and count those of each."""
        claimed = _newest(rows, None, "claimed", clamp_counted(self.limit))
        counted = Counter(str(each.claimed_by) for each in claimed if each.claimed_by is not None)
        items = tuple(
            _consumer(name, [each for each in claimed if each.claimed_by == name], now)
            for name in _by_count(counted)[:PAGE]
        )
        more = len(claimed) == clamp_counted(self.limit)
        return Consumers(at=now, items=items, looked_at=len(claimed), more=more)


def _consumer(name: str, held: list[MailboxEntry], now: int) -> Consumer:
    ends = [entry.lease_until for entry in held if entry.lease_until is not None]
    return Consumer(
        name=name,
        claims=len(held),
        mailboxes=len({entry.mailbox_id for entry in held}),
        expired=sum(has_expired(entry, now) for entry in held),
        lease_until=min(ends, default=None),
    )


def _newest(
    rows: MailboxRows, mailbox_id: str | None, status: EntryStatus, limit: int
) -> list[MailboxEntry]:
    entries = rows.find_entries(mailbox_id, (status,))
    return sorted(entries, key=listing_order, reverse=True)[:limit]
