"""Claims: who may take an entry, and what the holder of a claim may do with it."""

from collections.abc import Callable, Container, Iterable
from typing import Protocol, TypeAlias

import msgspec

from treadle.core.codec import Model
from treadle.core.commands import TimedCommand
from treadle.core.id_ranges import IdRanges, is_in
from treadle.core.ids import EntryId, MailboxId
from treadle.core.limits import LARGEST_TIME, Bound, Time, later
from treadle.core.mailboxes import EntryStatus, MailboxEntry, MailboxRows, failed, moved
from treadle.core.read_set import ReadSet
from treadle.core.run_closing import ClosingRows, close_answered, close_runs
from treadle.errors import ClaimConflict, InvalidValue, NotFound, shorten

TurnOrder: TypeAlias = tuple[int, int, int, int, int, str]


class ClaimRequest(Model, frozen=True, kw_only=True):
    """A request for entries: by whom, how many at most, and for how long (`lease_ms`).

    With `entry_id` just that entry is claimed, even if it is not due yet.
    """

    consumer: str
    limit: Bound = 1
    lease_ms: Time = 30_000
    mailbox_id: MailboxId | None = None
    entry_id: EntryId | None = None
    among: IdRanges | None = None  # of mailboxes
    now: Time | None = None


class ClaimRows(MailboxRows, Protocol):
    """The rows that claims need."""

    def find_claimable(self, request: ClaimRequest, now: int) -> Iterable[MailboxEntry]:
        """The entries that a claim gets, best first, as `choose` chooses them from all entries."""
        ...

    def find_claimed(self, mailbox_id: str) -> Iterable[MailboxEntry]:
        """The claimed entries of a mailbox, whether their leases are live or not."""
        ...

    def find_kept(self, mailbox_id: str) -> Iterable[MailboxEntry]:
        """The entries of a mailbox that wait for their retry and keep their order."""
        ...

    def find_waiting(self, mailbox_id: str, number: int, now: int) -> Iterable[MailboxEntry]:
        """Unfinished entries of a mailbox, in no order.

        Those that the holder of the mailbox may take are among them, the first `number` at least,
        and the retries that hold back others.
        """
        ...


# --- rules ----------------------------------------------------------------------------------------


def is_claimable(entry: MailboxEntry, now: int) -> bool:
    """Return whether the entry is due, or its lease has expired."""
    if entry.status == "queued":
        return entry.available_at <= now or is_undelayed(entry)
    return has_expired(entry, now)


def is_undelayed(entry: MailboxEntry) -> bool:
    """Return whether the entry was sent without a delay: it is due, even if the clock goes back."""
    return entry.turn is not None and entry.available_at <= entry.turn


def is_retry_in_order(entry: MailboxEntry) -> bool:
    """Return whether the entry has failed and keeps its order, whether it is claimed again or not.

    So the first of several such retries stays the first when its claim expires.
    """
    return entry.turn is not None and entry.turn < entry.available_at


def is_kept(entry: MailboxEntry) -> bool:
    """Return whether the entry waits for its retry, or is due again, and keeps its order."""
    return entry.status == "queued" and is_retry_in_order(entry)


def has_expired(entry: MailboxEntry, now: int) -> bool:
    """Return whether the entry is claimed and its lease has expired."""
    return entry.status == "claimed" and entry.lease_until is not None and entry.lease_until <= now


def has_live_lease(entry: MailboxEntry, now: int) -> bool:
    """Return whether a worker holds the entry at `now`."""
    return entry.status == "claimed" and not has_expired(entry, now)


def due_time(entry: MailboxEntry) -> int:
    """When an unfinished entry becomes claimable: when it is due, or when its lease expires."""
    if entry.status == "queued" or entry.lease_until is None:
        return entry.available_at
    return entry.lease_until


def claim_order(entry: MailboxEntry) -> tuple[int, int, int, str]:
    """The order of claims among mailboxes: highest priority, then longest due, then oldest."""
    return -entry.priority, entry.available_at, entry.created_at, entry.entry_id


def lease_end(entry: MailboxEntry) -> tuple[int, str]:
    """The order of claimed entries by the ends of their leases; one without an end is the last."""
    # The id tells apart leases that end in one millisecond.
    until = LARGEST_TIME if entry.lease_until is None else entry.lease_until
    return until, entry.entry_id


def turn_order(entry: MailboxEntry) -> TurnOrder:
    """The order of claims within a mailbox: highest priority, then a retry that keeps its order."""
    is_first = 0 if is_retry_in_order(entry) else 1
    turn = _turn(entry)
    return -entry.priority, is_first, turn, entry.available_at, entry.created_at, entry.entry_id


def _turn(entry: MailboxEntry) -> int:
    return entry.available_at if entry.turn is None else entry.turn


def choose(
    entries: Iterable[MailboxEntry],
    request: ClaimRequest,
    now: int,
    paused: Container[str] = (),
) -> list[MailboxEntry]:
    """The claim rule: the entries that a request gets out of all `entries`, best first.

    It gets at most one from each mailbox, and none from a mailbox in which a lease is live. From a
    mailbox that is `paused` it gets nothing; see `treadle.core.mailbox_pauses.is_paused`. From any
    other mailbox it gets the first that is due, in the order of their turns; a retry that keeps its
    order and is not due holds back those behind it. An entry that is asked for by its id need not
    be due.
    """
    mailboxes: dict[str, list[MailboxEntry]] = {}
    for entry in entries:
        is_asked = request.mailbox_id in (None, entry.mailbox_id)
        if is_asked and entry.mailbox_id not in paused and is_in(request.among, entry.mailbox_id):
            mailboxes.setdefault(entry.mailbox_id, []).append(entry)
    chosen: list[MailboxEntry] = []
    for beside in mailboxes.values():
        if request.entry_id is not None:
            chosen += _named(request.entry_id, beside, now)
        elif (first := first_claimable(beside, now)) is not None:
            chosen.append(first)
    return sorted(chosen, key=claim_order)[: max(request.limit, 0)]


def first_claimable(entries: Iterable[MailboxEntry], now: int) -> MailboxEntry | None:
    """The entry that a mailbox gives, out of all its `entries`."""
    rivals: list[MailboxEntry] = []
    for entry in entries:
        if has_live_lease(entry, now):
            return None
        if is_claimable(entry, now) or is_kept(entry):
            rivals.append(entry)
    first = min(rivals, key=turn_order, default=None)
    return first if first is not None and is_claimable(first, now) else None


def _named(entry_id: str, beside: list[MailboxEntry], now: int) -> Iterable[MailboxEntry]:
    """The entry of that id, unless its mailbox is held or holds it back."""
    if any(has_live_lease(entry, now) for entry in beside):
        return
    for entry in beside:
        is_free = entry.status == "queued" or has_expired(entry, now)
        if entry.entry_id == entry_id and is_free and not _is_held_back(entry, beside, now):
            yield entry


def _is_held_back(entry: MailboxEntry, beside: list[MailboxEntry], now: int) -> bool:
    """Return whether a retry that keeps its order, and is not due, comes before the entry."""
    order = turn_order(entry)
    return any(
        is_kept(each) and not is_claimable(each, now) and turn_order(each) < order
        for each in beside
    )


def claimed(entry: MailboxEntry, request: ClaimRequest, token: str, now: int) -> MailboxEntry:
    """The entry, held by the request's consumer."""
    return _held(entry, token, request.consumer, later(now, request.lease_ms), now)


def taken(entry: MailboxEntry, held: MailboxEntry, name: str, now: int) -> MailboxEntry:
    """The entry, held by the holder of `held`; `name` tells its token from the holder's others."""
    token = f"{_holder(held)}{_SEPARATOR}{name}"
    return _held(entry, token, held.claimed_by, held.lease_until, now)


def _held(
    entry: MailboxEntry, token: str, consumer: str | None, lease_until: int | None, now: int
) -> MailboxEntry:
    return msgspec.structs.replace(
        entry,
        status="claimed",
        claim_token=token,
        claimed_by=consumer,
        lease_until=lease_until,
        attempt_count=min(entry.attempt_count + 1, LARGEST_TIME),
        updated_at=now,
    )


_SEPARATOR = "/"
"""Comes in the token of a taken entry after the token of its holder's claim."""


def _holder(entry: MailboxEntry) -> str:
    return (entry.claim_token or "").partition(_SEPARATOR)[0]


def is_of_one_holder(one: MailboxEntry, other: MailboxEntry) -> bool:
    """Return whether two entries of a mailbox are claimed by one holder.

    A holder claims one entry and takes others; their tokens begin with that of the claim.
    """
    return one.status == "claimed" == other.status and _holder(one) == _holder(other)


def claim(
    rows: ClaimRows, request: ClaimRequest, now: int, new_token: Callable[[], str]
) -> tuple[MailboxEntry, ...]:
    """Choose entries and give them to the request's consumer, each with a new token."""
    chosen = list(rows.find_claimable(request, now))
    held = tuple(claimed(entry, request, new_token(), now) for entry in chosen)
    for entry in held:
        rows.entries.put(entry.entry_id, entry)
    return held


def claim_of(entry: MailboxEntry | str, claim_token: str | None) -> tuple[str, str]:
    """The id and token of a claim, given as the claimed entry or as the two themselves.

    Raises:
        InvalidValue: the entry is not claimed, or the token is missing.
    """
    if isinstance(entry, MailboxEntry):
        entry_id, token = entry.entry_id, claim_token or entry.claim_token
    else:
        entry_id, token = entry, claim_token
    if token is None:
        raise InvalidValue(
            "claim_token", f"entry {shorten(entry_id)} has none; pass the entry that claim returned"
        )
    return entry_id, token


def _find_later_holder(
    entry: MailboxEntry, claimed: Iterable[MailboxEntry], now: int
) -> MailboxEntry | None:
    """Return a claimed entry of the mailbox whose holder has a live lease that ends later.

    If there is one, its claim came later: that of `entry` had expired by then, even if the clock
    has gone back since (decision 23). So a mailbox has at most one holder at any time.
    """
    if not (beside := [each for each in claimed if each.entry_id != entry.entry_id]):
        return None
    end = max(lease_end(each) for each in (entry, *beside) if is_of_one_holder(each, entry))
    later_ones = (each for each in beside if lease_end(each) > end and has_live_lease(each, now))
    return next(later_ones, None)


def require_held(rows: ClaimRows, entry: MailboxEntry, token: str, now: int) -> None:
    """Check that a claim is held with this token: the fence.

    Raises:
        ClaimConflict: the claim was lost, has expired, was overtaken or was interrupted.
    """
    if not _is_held_with(entry, token):
        raise _conflict(entry)
    if has_expired(entry, now):
        reason = f"its lease expired at {entry.lease_until}, now is {now}"
        raise ClaimConflict(entry.entry_id, reason)
    holder = _find_later_holder(entry, rows.find_claimed(entry.mailbox_id), now)
    if holder is not None:
        reason = f"entry {holder.entry_id!r} of its mailbox was claimed after its lease expired"
        raise ClaimConflict(entry.entry_id, reason)
    state = rows.mailboxes.get(entry.mailbox_id)
    if state is not None and state.current_generation != entry.generation:
        raise ClaimConflict(entry.entry_id, f"mailbox {entry.mailbox_id!r} was interrupted")


def require_entry(rows: MailboxRows, entry_id: str) -> MailboxEntry:
    """Return an entry.

    Raises:
        NotFound: it does not exist.
    """
    entry = rows.entries.get(entry_id)
    if entry is None:
        raise NotFound("mailbox entry", entry_id)
    return entry


def _queued_again(
    entry: MailboxEntry,
    rows: MailboxRows,
    now: int,
    due: int,
    error: str,
    traceback: str | None,
    keep_order: bool,
) -> MailboxEntry:
    # Only then is the mailbox's state looked up, because it may be damaged.
    turn = _kept_turn(rows, entry, due) if keep_order else None
    return failed(entry, "queued", now, error, traceback, available_at=due, turn=turn)


def _kept_turn(rows: MailboxRows, entry: MailboxEntry, due: int) -> int:
    """The turn of an entry that keeps its order and waits until `due`: one before that.

    Several that fail together keep the order among them.
    """
    state = rows.mailboxes.get(entry.mailbox_id)
    # If the clock went back, turns are ahead of it, and all of the mailbox are moved alike.
    ahead = max(state.last_turn - due + 1, 0) if state else 0
    return max(min(_turn(entry) - ahead, due - 1), 0)


def _is_held_with(entry: MailboxEntry, token: str) -> bool:
    return entry.status == "claimed" and entry.claim_token == token


def _conflict(entry: MailboxEntry) -> ClaimConflict:
    if entry.status == "claimed":
        return ClaimConflict(entry.entry_id, "it is claimed with another token")
    return ClaimConflict(entry.entry_id, f"it is {_STATUS_WORDS[entry.status]}")


_STATUS_WORDS: dict[EntryStatus, str] = {
    "queued": "queued",
    "accepted": "already accepted",
    "superseded": "already superseded",
    "cancelled": "already cancelled",
    "dead_letter": "already a dead letter",
}


# --- commands -------------------------------------------------------------------------------------


class Hold(TimedCommand[None], frozen=True, kw_only=True):
    """The fence: the batch commits only while this claim is held. Result: None.

    Fails with `ClaimConflict` if the claim was lost or expired, if somebody else has claimed from
    its mailbox since and holds that, or if the mailbox was interrupted.
    """

    entry_id: EntryId
    claim_token: str

    def touches(self, read_set: ReadSet) -> None:
        """The entry, and what is claimed beside it in its mailbox."""
        read_set.entries.add(self.entry_id)
        read_set.claimed_beside.add(self.entry_id)

    def apply(self, rows: ClaimRows, now: int) -> None:
        """Check the claim; change nothing."""
        entry = rows.entries.get(self.entry_id)
        if entry is None:
            raise ClaimConflict(self.entry_id, "the entry is gone")
        require_held(rows, entry, self.claim_token, now)


class _Settlement(TimedCommand[None], frozen=True, kw_only=True):
    """Ends a claim: it needs the claim's token, but not a live lease."""

    entry_id: EntryId
    claim_token: str

    def touches(self, read_set: ReadSet) -> None:
        """The entry; its mailbox comes with it."""
        read_set.entries.add(self.entry_id)

    def apply(self, rows: ClosingRows, now: int) -> None:
        """Put the entry as `settled` says."""
        entry = require_entry(rows, self.entry_id)
        if not _is_held_with(entry, self.claim_token):
            raise _conflict(entry)
        rows.entries.put(self.entry_id, self.settled(entry, rows, now))

    def settled(self, entry: MailboxEntry, rows: ClosingRows, now: int) -> MailboxEntry:
        """The claimed entry after the settlement."""
        raise NotImplementedError


class _Ending(_Settlement, frozen=True, kw_only=True):
    def touches(self, read_set: ReadSet) -> None:
        """The entry and its active runs."""
        super().touches(read_set)
        read_set.runs_of.add(self.entry_id)


class Ack(_Ending, frozen=True, kw_only=True):
    """Settles a claimed entry as done. Result: None.

    Like the other settlements, it fails with `NotFound`, or with `ClaimConflict` if the token is
    not the claim's. It closes the runs of the entry that have an answer and have not gone on.
    """

    def settled(self, entry: MailboxEntry, rows: ClosingRows, now: int) -> MailboxEntry:
        """The entry, accepted; it closes the runs that have not gone on."""
        close_answered(rows, entry, now)
        return moved(entry, "accepted", now)


class Nack(_Settlement, frozen=True, kw_only=True):
    """Returns a claimed entry to the queue until `retry_at` (None: now), with the error.

    With `keep_order`, nothing of the mailbox with the same or a lower priority is claimed until the
    entry is settled or its retry is due.
    """

    retry_at: Time | None = None
    error: str = ""
    traceback: str | None = None
    keep_order: bool = False

    def settled(self, entry: MailboxEntry, rows: ClosingRows, now: int) -> MailboxEntry:
        """The entry, queued."""
        due = now if self.retry_at is None else self.retry_at
        return _queued_again(entry, rows, now, due, self.error, self.traceback, self.keep_order)


class DeadLetter(_Ending, frozen=True, kw_only=True):
    """Settles a claimed entry as failed for good, and closes its runs."""

    error: str = ""
    traceback: str | None = None

    def settled(self, entry: MailboxEntry, rows: ClosingRows, now: int) -> MailboxEntry:
        """The entry as a dead letter; it closes the runs."""
        close_runs(rows, entry, "dead_letter", self.error, now)
        return failed(entry, "dead_letter", now, self.error, self.traceback)


class Release(_Settlement, frozen=True, kw_only=True):
    """Returns a claimed entry to the queue; the claim does not count as an attempt.

    With `retry_at` it is due then, with the error, as after a `Nack`.
    """

    retry_at: Time | None = None
    error: str = ""
    keep_order: bool = False

    def settled(self, entry: MailboxEntry, rows: ClosingRows, now: int) -> MailboxEntry:
        """The entry, queued, with one attempt less."""
        attempts = max(entry.attempt_count - 1, 0)
        if (due := self.retry_at) is None:
            return moved(entry, "queued", now, attempt_count=attempts)
        after = _queued_again(entry, rows, now, due, self.error, None, self.keep_order)
        return msgspec.structs.replace(after, attempt_count=attempts)


Settlement: TypeAlias = Ack | Nack | DeadLetter | Release
"""The commands that end a claim."""


class ExtendLease(TimedCommand[bool], frozen=True, kw_only=True):
    """Keeps a claim for `extension_ms` from now. Result: whether it is still held.

    The lease is the holder's: it is extended for all that the holder has claimed in the mailbox. A
    lease that expired is not extended if somebody else holds an entry of the mailbox since.
    """

    entry_id: EntryId
    claim_token: str
    extension_ms: Time

    def touches(self, read_set: ReadSet) -> None:
        """The entry, and what is claimed beside it in its mailbox."""
        read_set.entries.add(self.entry_id)
        read_set.claimed_beside.add(self.entry_id)

    def apply(self, rows: ClaimRows, now: int) -> bool:
        """Put the holder's entries with their new lease, if this one is still held."""
        entry = rows.entries.get(self.entry_id)
        if entry is None or not _is_held_with(entry, self.claim_token):
            return False
        claimed = list(rows.find_claimed(entry.mailbox_id))
        if _find_later_holder(entry, claimed, now):
            return False
        # A clock that went back must not let the lease end before one that it has outlived.
        ends = [each.lease_until or 0 for each in claimed if not is_of_one_holder(each, entry)]
        lease_until = max(later(now, self.extension_ms), later(max(ends, default=-1), 1))
        for each in claimed:
            if is_of_one_holder(each, entry):
                changed = max(now, each.updated_at)  # never before its claim: see `Pause.since`
                after = msgspec.structs.replace(each, lease_until=lease_until, updated_at=changed)
                rows.entries.put(each.entry_id, after)
        return True
