"""Groups of entries by what they wait for, and how many there are of each."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, assert_never, get_args

from treadle.core.claims import is_claimable
from treadle.core.codec import Model, always_encoded
from treadle.core.ids import MailboxId
from treadle.core.limits import COUNTED, Bound, Count, Time, clamp_counted
from treadle.core.mailbox_pauses import is_paused
from treadle.core.mailboxes import (
    SETTLED,
    STATUSES,
    EntryStatus,
    MailboxEntry,
    MailboxRows,
    listing_order,
)
from treadle.core.queries import TimedQuery

EntryGroup = Literal["due", "scheduled", "retrying", "paused", "claimed", "dead", "ended"]
"""Entries that wait for the same thing:

- "due": queued, and their time has come.
- "scheduled": queued, and sent with a delay that is not over.
- "retrying": queued, and they wait for their next attempt.
- "paused": queued, in a mailbox that is paused; each is in one of the groups before, too.
- "claimed": a worker holds them, or did until its lease expired.
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


class Looked(NamedTuple):
    """What a bounded look at one mailbox sees."""

    queued: list[MailboxEntry]
    """The oldest ones."""
    claimed: list[MailboxEntry]
    dead: list[MailboxEntry]
    settled: list[MailboxEntry]
    """Those among the newest entries that were accepted, superseded or cancelled."""
    newest: int
    """How many of the newest entries were looked at for them."""


def look_at(entries: Iterable[MailboxEntry], limit: int) -> Looked:
    """Look at no more than `limit` entries of a mailbox of each kind."""
    by_age = sorted(entries, key=listing_order)
    of: dict[EntryStatus, list[MailboxEntry]] = {status: [] for status in STATUSES}
    for entry in by_age:
        of[entry.status].append(entry)
    newest = by_age[-limit:]
    return Looked(
        queued=of["queued"][:limit],
        claimed=of["claimed"][:limit],
        dead=of["dead_letter"][:limit],
        settled=[entry for entry in newest if entry.status in SETTLED],
        newest=len(newest),
    )


# --- query ----------------------------------------------------------------------------------------


class CountGroups(TimedQuery[GroupCounts], frozen=True, kw_only=True):
    """How many entries there are in each group, counted as far as `limit`.

    In one mailbox, the queued ones are those among its oldest `limit`, and the ended ones those
    among its newest `limit` entries.
    """

    mailbox_id: MailboxId | None = None
    limit: Bound = COUNTED
    """How far each group is counted; it is clamped to 1..10,000."""

    def answer(self, rows: MailboxRows, now: int) -> GroupCounts:
        """Look at all entries once."""
        limit = clamp_counted(self.limit)
        found: Iterable[MailboxEntry] = rows.find_entries(self.mailbox_id, STATUSES)
        queued = newest = 0
        if self.mailbox_id is not None:
            looked = look_at(found, limit)
            queued, newest = len(looked.queued), looked.newest
            found = (*looked.queued, *looked.claimed, *looked.dead, *looked.settled)
        counts: Counter[EntryGroup] = Counter()
        for entry in found:
            counts.update(groups_of(rows, entry, now))
        return group_counts(now, counts, limit, queued=queued, newest=newest)


def group_counts(
    at: int, counts: Counter[EntryGroup], limit: int, *, queued: int = 0, newest: int = 0
) -> GroupCounts:
    """The answer of a count.

    Args:
        at: the time.
        counts: how many entries were counted in each group.
        limit: how far they were counted.
        queued: how many queued entries of one mailbox were looked at.
        newest: how many of its newest entries were looked at for those that have ended.
    """
    numbers: dict[str, Any] = {group: min(counts[group], limit) for group in GROUPS}
    looked_at: dict[EntryGroup, int] = dict.fromkeys(GROUPS, 0)
    looked_at |= {"due": queued, "scheduled": queued, "retrying": queued, "paused": queued}
    looked_at["ended"] = newest
    more: list[EntryGroup] = [
        group for group in GROUPS if max(numbers[group], looked_at[group]) >= limit
    ]
    return GroupCounts(at=at, more=tuple(more), **numbers)
