"""Reports: what waits, what is held, and what fails, in a mailbox or in all of them."""

from collections import Counter

import msgspec

from treadle.core.claims import has_expired, is_claimable
from treadle.core.codec import Model, always_encoded
from treadle.core.ids import MailboxId
from treadle.core.limits import Count, Time
from treadle.core.mailboxes import (
    STATUSES,
    UNFINISHED,
    EntryStatus,
    MailboxEntry,
    MailboxRows,
    MailboxStats,
)
from treadle.core.queries import TimedQuery

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
    """How many of the queued entries are due."""
    scheduled: Count = always_encoded(0)
    """How many of them were sent with a delay, and are not due yet."""
    retrying: Count = always_encoded(0)
    """How many of them wait for their next attempt."""
    expired: Count = always_encoded(0)
    """How many of the claimed entries have a lease that is over: their workers may have died."""
    oldest_due_at: Time | None = None
    """Since when the entry that has been due longest is due; None if none is."""
    errors: tuple[ErrorCount, ...] = ()
    """The most frequent errors of queued and claimed entries and of dead letters, at most 20."""


class ReportEntries(TimedQuery[EntryReport], frozen=True, kw_only=True):
    """What is in a mailbox, or in all of them."""

    mailbox_id: MailboxId | None = None

    def answer(self, rows: MailboxRows, now: int) -> EntryReport:
        """Look at all entries once."""
        entries = list(rows.find_entries(self.mailbox_id, STATUSES))
        queued = [entry for entry in entries if entry.status == "queued"]
        due = [entry for entry in queued if is_claimable(entry, now)]
        waiting = [entry for entry in queued if not is_claimable(entry, now)]
        retrying = sum(entry.attempt_count > 0 for entry in waiting)
        return EntryReport(
            at=now,
            counts=msgspec.convert(Counter(entry.status for entry in entries), type=MailboxStats),
            due=len(due),
            scheduled=len(waiting) - retrying,
            retrying=retrying,
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
    # of equal counts, in the order of the JSON texts, as a database sorts them
    ordered = sorted(counted, key=lambda error: (-counted[error], msgspec.json.encode(error)))
    return tuple(ErrorCount(error=error, count=counted[error]) for error in ordered[:ERRORS])
