"""Groups of entries by what they wait for, and how many there are of each."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Literal, assert_never, get_args

from treadle.core.claims import is_claimable
from treadle.core.codec import Model, always_encoded
from treadle.core.ids import MailboxId
from treadle.core.limits import COUNTED, Bound, Count, Time, clamp_counted
from treadle.core.mailboxes import (
    SETTLED,
    STATUSES,
    UNFINISHED,
    EntryStatus,
    MailboxEntry,
    MailboxRows,
    listing_order,
)
from treadle.core.pauses import is_paused
from treadle.core.queries import TimedQuery

EntryGroup = Literal["due", "scheduled", "retrying", "paused", "claimed", "dead", "ended"]
"""Entries that wait for the same thing:

- "due": queued, and their time has come.
- "scheduled": queued, and sent with a delay that is not over.
- "retrying": queued, and they wait for their next attempt.
- "paused": queued, in a mailbox that is paused; each is in one of the groups before, too.
- "claimed": a worker holds them, or did until its lease was over.
- "dead": dead letters.
- "ended": accepted, superseded or cancelled.
"""

GROUPS: tuple[EntryGroup, ...] = get_args(EntryGroup)


class GroupCounts(Model, frozen=True, kw_only=True):
    """How many entries there are in each group, as far as they were counted."""

    at: Time
    """The time of the counts."""
    due: Count = always_encoded(0)
    scheduled: Count = always_encoded(0)
    retrying: Count = always_encoded(0)
    paused: Count = always_encoded(0)
    claimed: Count = always_encoded(0)
    dead: Count = always_encoded(0)
    ended: Count = always_encoded(0)
    more: tuple[EntryGroup, ...] = ()
    """The groups that may have more entries than were counted."""


# --- rules ----------------------------------------------------------------------------------------


def statuses_of(group: EntryGroup) -> tuple[EntryStatus, ...]:
    """The statuses in which the entries of a group are."""
    match group:
        case "due" | "scheduled" | "retrying" | "paused":
            return ("queued",)
        case "claimed":
            return ("claimed",)
        case "dead":
            return ("dead_letter",)
        case "ended":
            return SETTLED
        case _:
            assert_never(group)


def groups_of(rows: MailboxRows, entry: MailboxEntry, now: int) -> set[EntryGroup]:
    """The groups that an entry is in."""
    if entry.status != "queued":
        return {group for group in GROUPS if entry.status in statuses_of(group)}
    groups: set[EntryGroup] = set()
    if is_claimable(entry, now):
        groups.add("due")
    else:
        groups.add("retrying" if entry.attempt_count > 0 else "scheduled")
    if is_paused(rows.mailboxes.get(entry.mailbox_id), now):
        groups.add("paused")
    return groups


# --- query ----------------------------------------------------------------------------------------


class CountGroups(TimedQuery[GroupCounts], frozen=True, kw_only=True):
    """How many entries there are in each group, counted as far as `limit`.

    In one mailbox, these are the queued and claimed ones among its newest `limit` that have not
    ended, and those that have ended among its newest `limit`.
    """

    mailbox_id: MailboxId | None = None
    limit: Bound = COUNTED
    """How far each group is counted; it is clamped to 1..10,000."""

    def answer(self, rows: MailboxRows, now: int) -> GroupCounts:
        """Look at all entries once."""
        limit = clamp_counted(self.limit)
        if self.mailbox_id is None:
            counts = _count(rows, rows.find_entries(None, STATUSES), now)
            return group_counts(now, counts, limit)
        found = sorted(
            rows.find_entries(self.mailbox_id, STATUSES), key=listing_order, reverse=True
        )
        unfinished = [entry for entry in found if entry.status in UNFINISHED]
        counts = _count(rows, (each for each in found if each.status == "dead_letter"), now)
        counts += _count(rows, unfinished[:limit], now)
        counts += _count(rows, (each for each in found[:limit] if each.status in SETTLED), now)
        return group_counts(now, counts, limit, unfinished=len(unfinished), all_=len(found))


def _count(rows: MailboxRows, entries: Iterable[MailboxEntry], now: int) -> Counter[EntryGroup]:
    return Counter(group for entry in entries for group in groups_of(rows, entry, now))


def group_counts(
    at: int, counts: Counter[EntryGroup], limit: int, *, unfinished: int = 0, all_: int = 0
) -> GroupCounts:
    """The answer of a count.

    Args:
        at: the time.
        counts: how many entries were counted in each group.
        limit: how far they were counted.
        unfinished: how many queued and claimed entries of one mailbox were looked at.
        all_: how many entries of it were looked at for those that have ended.
    """
    more: list[EntryGroup] = []
    for group in GROUPS:
        looked_at = 0
        if group == "ended":
            looked_at = all_
        elif group != "dead":
            looked_at = unfinished
        if max(counts[group], looked_at) >= limit:
            more.append(group)
    numbers: dict[str, Any] = {group: min(counts[group], limit) for group in GROUPS}
    return GroupCounts(at=at, more=tuple(more), **numbers)
