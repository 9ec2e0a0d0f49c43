"""Explaining: why an entry does not run, and what it waits for."""

from collections.abc import Iterable, Iterator
from typing import Literal

from treadle.core.claims import (
    ClaimRows,
    has_live_lease,
    is_claimable,
    is_kept,
    is_of_one_holder,
    lease_end,
    turn_order,
)
from treadle.core.codec import Model, always_encoded
from treadle.core.ids import EntryId
from treadle.core.limits import Time
from treadle.core.mailbox_pauses import is_paused
from treadle.core.mailboxes import MailboxEntry, MailboxState, is_terminal
from treadle.core.queries import TimedQuery

ObstacleKind = Literal[
    "ended",
    "held",
    "not_due",
    "paused",
    "mailbox_held",
    "behind_retry",
    "behind_entry",
    "older_generation",
]
"""What keeps an entry from being claimed; see `Obstacle`."""


class Obstacle(Model, frozen=True, kw_only=True):
    """One of the reasons why an entry is not claimed; fields that say nothing are None or empty.

    - "ended": it has ended at `since`, and its status says how; `reason` is its error.
    - "held": the holder works on it, together with `entry_ids`.
    - "not_due": it was sent with a delay, or waits for its retry after the error in `reason`.
    - "paused": its mailbox is paused, for this reason.
    - "mailbox_held": the holder works on other entries of the mailbox, `entry_ids`.
    - "behind_retry": the entry named keeps its order, and waits for its retry after this error.
    - "behind_entry": the entry named comes first, and can be claimed.
    - "older_generation": its mailbox has been interrupted since. It would be claimed, but its
      holder could write nothing.
    """

    kind: ObstacleKind
    since: Time | None = None
    """When it began, in unix milliseconds."""
    until: Time | None = None
    """When it ends by itself, a lease unless it is renewed; None: that is not known."""
    holder: str | None = None
    """The consumer that holds the mailbox, by the name in its claim."""
    entry_ids: tuple[EntryId, ...] = ()
    """The other entries that it is about, in the order of their ids."""
    reason: str | None = None


class Explanation(Model, frozen=True, kw_only=True):
    """Why an entry does not run: its `obstacles`. If there are none, the next claim gets it."""

    entry: MailboxEntry
    mailbox: MailboxState | None = None
    now: Time = always_encoded(0)
    """The time at which this is so, in unix milliseconds."""
    obstacles: tuple[Obstacle, ...] = always_encoded(())


# --- rules ----------------------------------------------------------------------------------------


def explained(
    entry: MailboxEntry, state: MailboxState | None, beside: Iterable[MailboxEntry], now: int
) -> Explanation:
    """The obstacles of an entry.

    Args:
        entry: the entry.
        state: that of its mailbox.
        beside: unfinished entries of the mailbox: what is claimed, and what may be claimed first.
        now: the present in unix milliseconds.
    """
    obstacles = tuple(_obstacles(entry, state, list(beside), now))
    return Explanation(entry=entry, mailbox=state, now=now, obstacles=obstacles)


def _obstacles(
    entry: MailboxEntry, state: MailboxState | None, beside: list[MailboxEntry], now: int
) -> Iterator[Obstacle]:
    if is_terminal(entry):
        yield Obstacle(kind="ended", since=entry.updated_at, reason=entry.last_error)
        return
    held = [each for each in beside if has_live_lease(each, now)]
    if has_live_lease(entry, now):
        yield _held("held", entry, held)
    else:
        if not is_claimable(entry, now):
            yield Obstacle(kind="not_due", until=entry.available_at, reason=entry.last_error)
        if state is not None and is_paused(state, now):
            since, until = state.paused_at, state.paused_until
            yield Obstacle(kind="paused", since=since, until=until, reason=state.pause_reason)
        if held:
            last = max(held, key=lease_end)
            yield _held("mailbox_held", last, [*held, last])
        yield from _first(entry, beside, now)
    if state is not None and entry.generation < state.current_generation:
        yield Obstacle(kind="older_generation")


def _held(
    kind: Literal["held", "mailbox_held"], claimed: MailboxEntry, held: list[MailboxEntry]
) -> Obstacle:
    """The obstacle that a holder is; an entry that is held is not named beside itself."""
    ids = {each.entry_id for each in held if is_of_one_holder(each, claimed)}
    if kind == "held":
        ids.discard(claimed.entry_id)
    return Obstacle(
        kind=kind,
        until=claimed.lease_until,
        holder=claimed.claimed_by,
        entry_ids=tuple(sorted(ids)),
    )


def _first(entry: MailboxEntry, beside: list[MailboxEntry], now: int) -> Iterator[Obstacle]:
    """The entry that the mailbox gives before this one, or that holds both back."""
    order = turn_order(entry)
    before = [
        each
        for each in beside
        if turn_order(each) < order and (is_claimable(each, now) or is_kept(each))
    ]
    first = min(before, key=turn_order, default=None)
    if first is None:
        return
    ids = (first.entry_id,)
    if is_claimable(first, now):
        yield Obstacle(kind="behind_entry", entry_ids=ids)
    else:
        until, error = first.available_at, first.last_error
        yield Obstacle(kind="behind_retry", until=until, entry_ids=ids, reason=error)


# --- query ----------------------------------------------------------------------------------------


class ExplainEntry(TimedQuery[Explanation | None], frozen=True, kw_only=True):
    """Why an entry does not run at `now`, or None if it does not exist."""

    entry_id: EntryId

    def answer(self, rows: ClaimRows, now: int) -> Explanation | None:
        """Look at the entry, its mailbox, and what comes first there."""
        entry = rows.entries.get(self.entry_id)
        if entry is None:
            return None
        state = rows.mailboxes.get(entry.mailbox_id)
        waiting = rows.find_waiting(entry.mailbox_id, 1, now)
        return explained(entry, state, (*waiting, *rows.find_claimed(entry.mailbox_id)), now)
