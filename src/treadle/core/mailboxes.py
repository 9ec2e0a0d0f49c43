"""Mailboxes: work waiting for an agent, and every rule about who may do what to it, as values."""

from collections.abc import Iterable
from typing import Any, Literal, assert_never

import msgspec
from msgspec import UNSET, UnsetType

from treadle.core.codec import Json, Model, written
from treadle.core.limits import LARGEST_TIME, Count, Generation, Priority, Time, later
from treadle.core.pages import Page, PageQuery
from treadle.errors import ClaimConflict, GenerationMismatch, InvalidValue

EntryOrigin = Literal["external", "internal"]
"""Where an entry comes from: from outside, or from an agent; no rule depends on it."""

EntryStatus = Literal["queued", "claimed", "accepted", "superseded", "cancelled", "dead_letter"]
"""Where an entry stands; all but the first two are the end."""

INTERRUPT_REASON = "superseded by interrupt"
"""What an interrupt leaves in `last_error` of the entries it supersedes."""

TERMINAL: frozenset[EntryStatus] = frozenset(("accepted", "superseded", "cancelled", "dead_letter"))
"""The statuses of entries that have ended."""


class MailboxEntry(Model, frozen=True, kw_only=True):
    """A piece of work in a mailbox; times are unix milliseconds, higher priorities come first."""

    entry_id: str
    mailbox_id: str
    origin: EntryOrigin = written("external")
    sender_id: str | None = None
    payload: Json = written(None)
    priority: Priority = written(0)
    dedupe_key: str | None = None
    """No second entry with it comes into the mailbox, until this one is purged."""
    generation: Generation = written(0)
    """The mailbox's when it came in."""
    status: EntryStatus = written("queued")
    available_at: Time = written(0)
    """When it is due."""
    attempt_count: Count = written(0)
    """How often it was claimed; a release takes one back."""
    last_error: str | None = None
    """What the last attempt failed with, or why the entry was ended."""
    claim_token: str | None = None
    """What settles the claim; as the two below, None unless it is claimed."""
    claimed_by: str | None = None
    lease_until: Time | None = None
    """From then on somebody else may claim it."""
    created_at: Time = written(0)
    updated_at: Time = written(0)


class MailboxState(Model, frozen=True, kw_only=True):
    """A mailbox's generation: an interrupt raises it, and what is older is not worked any more."""

    mailbox_id: str
    current_generation: Generation = written(0)
    updated_at: Time = written(0)


class Interrupted(Model, frozen=True, kw_only=True):
    """What an interrupt did: the mailbox's new state, and the entries it superseded."""

    mailbox_state: MailboxState
    superseded_entries: tuple[MailboxEntry, ...] = written(())


class EntryQuery(PageQuery, frozen=True, kw_only=True):
    """Which entries to list, oldest first."""

    mailbox_id: str | None = None
    status: EntryStatus | None = None
    origin: EntryOrigin | None = None


class EntryPage(Page[MailboxEntry], frozen=True, kw_only=True):
    """A page of entries; `total` counts all that match."""


class MailboxQuery(PageQuery, frozen=True, kw_only=True):
    """Which states of mailboxes to list, in the order of their ids."""


class MailboxPage(Page[MailboxState], frozen=True, kw_only=True):
    """A page of mailboxes' states; `total` counts all."""


class MailboxStats(Model, frozen=True, kw_only=True):
    """How many entries there are in each status."""

    queued: Count = written(0)
    claimed: Count = written(0)
    accepted: Count = written(0)
    superseded: Count = written(0)
    cancelled: Count = written(0)
    dead_letter: Count = written(0)


class ClaimRequest(Model, frozen=True, kw_only=True):
    """Who wants work, how much at most, and for how long (`lease_ms`) nobody else may take it.

    With `entry_id` just that entry is claimed, even if it is not due yet.
    """

    consumer: str
    limit: int = 1
    lease_ms: Time = 30_000
    mailbox_id: str | None = None
    entry_id: str | None = None
    now: Time | None = None


class HeldBy(msgspec.Struct, frozen=True, kw_only=True):
    """A guard: the entry must be claimed with this token."""

    claim_token: str


class NotTerminal(msgspec.Struct, frozen=True, kw_only=True):
    """A guard: the entry must still be queued or claimed."""


Guard = HeldBy | NotTerminal


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to one entry: `guard` must hold, then its columns become what is set here."""

    entry_id: str
    guard: Guard
    status: EntryStatus
    updated_at: Time
    available_at: Time | UnsetType = UNSET
    last_error: str | UnsetType = UNSET
    lease_until: Time | UnsetType = UNSET
    attempts: int = 0
    """Added to `attempt_count`."""

    def allows(self, entry: MailboxEntry) -> bool:
        """Whether the guard holds for `entry`."""
        match self.guard:
            case HeldBy(claim_token=token):
                return entry.status == "claimed" and entry.claim_token == token
            case NotTerminal():
                return entry.status not in TERMINAL
            case _:
                assert_never(self.guard)

    def apply_to(self, entry: MailboxEntry) -> MailboxEntry:
        """The entry afterwards; only one that stays claimed keeps its claim."""
        changes: dict[str, Any] = {"status": self.status, "updated_at": self.updated_at}
        if self.status != "claimed":
            changes |= {"claim_token": None, "claimed_by": None, "lease_until": None}
        for name in ("available_at", "last_error", "lease_until"):
            value = getattr(self, name)
            if value is not UNSET:
                changes[name] = value
        if self.attempts:
            changes["attempt_count"] = max(entry.attempt_count + self.attempts, 0)
        return msgspec.structs.replace(entry, **changes)


def ack(entry_id: str, claim_token: str, now: int) -> Transition:
    """The work is done."""
    return Transition(
        entry_id=entry_id, guard=HeldBy(claim_token=claim_token), status="accepted", updated_at=now
    )


def nack(entry_id: str, claim_token: str, now: int, *, retry_at: int, error: str) -> Transition:
    """The work failed; it may be tried again from `retry_at` on."""
    return Transition(
        entry_id=entry_id,
        guard=HeldBy(claim_token=claim_token),
        status="queued",
        available_at=retry_at,
        last_error=error,
        updated_at=now,
    )


def dead_letter(entry_id: str, claim_token: str, now: int, *, error: str) -> Transition:
    """The work failed for good."""
    return Transition(
        entry_id=entry_id,
        guard=HeldBy(claim_token=claim_token),
        status="dead_letter",
        last_error=error,
        updated_at=now,
    )


def release(entry_id: str, claim_token: str, now: int) -> Transition:
    """The work was not begun: it goes back, and the claim does not count as an attempt."""
    return Transition(
        entry_id=entry_id,
        guard=HeldBy(claim_token=claim_token),
        status="queued",
        attempts=-1,
        updated_at=now,
    )


def extend_lease(entry_id: str, claim_token: str, now: int, *, extension_ms: int) -> Transition:
    """The holder is alive: its lease runs until `now + extension_ms`."""
    return Transition(
        entry_id=entry_id,
        guard=HeldBy(claim_token=claim_token),
        status="claimed",
        lease_until=later(now, extension_ms),
        updated_at=now,
    )


def cancel(entry_id: str, now: int) -> Transition:
    """The work is not wanted any more."""
    return Transition(
        entry_id=entry_id,
        guard=NotTerminal(),
        status="cancelled",
        last_error="cancelled",
        updated_at=now,
    )


def supersede(entry_id: str, now: int, *, reason: str) -> Transition:
    """Something newer takes the work's place."""
    return Transition(
        entry_id=entry_id,
        guard=NotTerminal(),
        status="superseded",
        last_error=reason,
        updated_at=now,
    )


def is_terminal(entry: MailboxEntry) -> bool:
    """Whether nothing will happen to the entry any more."""
    return entry.status in TERMINAL


def is_claimable(entry: MailboxEntry, now: int) -> bool:
    """Whether the entry is due, or its holder's lease has run out."""
    if entry.status == "queued":
        return entry.available_at <= now
    return has_expired(entry, now)


def has_expired(entry: MailboxEntry, now: int) -> bool:
    """Whether the entry is claimed, and its lease has run out."""
    return entry.status == "claimed" and entry.lease_until is not None and entry.lease_until <= now


def due_time(entry: MailboxEntry) -> int:
    """When an unfinished entry becomes claimable: when it is due, or its lease runs out."""
    if entry.status == "queued" or entry.lease_until is None:
        return entry.available_at
    return entry.lease_until


def has_live_lease(entry: MailboxEntry, now: int) -> bool:
    """Whether somebody holds the entry at `now`."""
    return entry.status == "claimed" and not has_expired(entry, now)


def is_outlived(entry: MailboxEntry, claimed: Iterable[MailboxEntry], now: int) -> bool:
    """Whether one of those `claimed` in the entry's mailbox is held at `now` for longer than it is.

    Then that one is the holder's: this one ran out before, even if the clock has gone back since.
    """
    own = _lease_end(entry)
    return any(has_live_lease(other, now) and _lease_end(other) > own for other in claimed)


def _lease_end(entry: MailboxEntry) -> tuple[int, str]:
    """When a claim ends; ids tell apart those that end together."""
    until = LARGEST_TIME if entry.lease_until is None else entry.lease_until
    return until, entry.entry_id


def claim_order(entry: MailboxEntry) -> tuple[int, int, int, str]:
    """The order in which entries are claimed: urgent, then the longest due, then the oldest."""
    return -entry.priority, entry.available_at, entry.created_at, entry.entry_id


def listing_order(entry: MailboxEntry) -> tuple[int, str]:
    """The order of listings: oldest first, then by id."""
    return entry.created_at, entry.entry_id


def choose(entries: Iterable[MailboxEntry], request: ClaimRequest, now: int) -> list[MailboxEntry]:
    """The claim rule: which of all `entries` a request gets, at most one from each mailbox.

    None comes from a mailbox in which somebody holds a live lease.
    """
    entries = list(entries)
    taken = {entry.mailbox_id for entry in entries if has_live_lease(entry, now)}
    chosen: list[MailboxEntry] = []
    for entry in sorted(entries, key=claim_order):
        if len(chosen) >= request.limit:
            break
        if entry.mailbox_id in taken or not is_claimable(entry, now):
            continue
        if request.mailbox_id is not None and entry.mailbox_id != request.mailbox_id:
            continue
        taken.add(entry.mailbox_id)
        chosen.append(entry)
    return chosen


def claimed(entry: MailboxEntry, request: ClaimRequest, token: str, now: int) -> MailboxEntry:
    """The entry in the hands of the request's consumer."""
    return msgspec.structs.replace(
        entry,
        status="claimed",
        claim_token=token,
        claimed_by=request.consumer,
        lease_until=later(now, request.lease_ms),
        attempt_count=entry.attempt_count + 1,
        updated_at=now,
    )


def requeued(entry: MailboxEntry, generation: int, now: int) -> MailboxEntry:
    """A dead letter back in the queue, as if it had just been sent: its attempts start anew."""
    return msgspec.structs.replace(
        entry,
        status="queued",
        generation=generation,
        available_at=now,
        attempt_count=0,
        updated_at=now,
    )


def ensured(before: MailboxState | None, mailbox_id: str, now: int) -> MailboxState:
    """The mailbox's state, new or touched."""
    state = before or MailboxState(mailbox_id=mailbox_id)
    return msgspec.structs.replace(state, updated_at=now)


def interrupted(before: MailboxState | None, mailbox_id: str, now: int) -> MailboxState:
    """The mailbox one generation on."""
    state = ensured(before, mailbox_id, now)
    return msgspec.structs.replace(state, current_generation=state.current_generation + 1)


def claim_of(entry: MailboxEntry | str, claim_token: str | None) -> tuple[str, str]:
    """The id and token of a claim, given as the claimed entry or as the two themselves.

    Raises:
        InvalidValue: the entry is not claimed, or the token is missing.
    """
    if isinstance(entry, MailboxEntry):
        return claim_of(entry.entry_id, claim_token or entry.claim_token)
    if claim_token is None:
        raise InvalidValue(
            "claim_token", f"entry {entry!r} has none; pass the entry that claim returned"
        )
    return entry, claim_token


def check_held(
    entry: MailboxEntry | None, state: MailboxState | None, entry_id: str, token: str, now: int
) -> None:
    """The fence: pass only while the claim `token` is held, not run out, and not interrupted.

    Raises:
        ClaimConflict: it is not.
    """
    if entry is None:
        raise ClaimConflict(entry_id, "the entry is gone")
    if entry.status != "claimed" or entry.claim_token != token:
        raise ClaimConflict(entry_id, f"it is {entry.status}, and not with this token")
    if has_expired(entry, now):
        raise ClaimConflict(entry_id, f"its lease ran out at {entry.lease_until}, now is {now}")
    if state is not None and state.current_generation != entry.generation:
        raise ClaimConflict(entry_id, f"mailbox {entry.mailbox_id!r} was interrupted")


def check_generation(entry: MailboxEntry, state: MailboxState | None) -> None:
    """Only entries of the current generation may come in.

    Raises:
        GenerationMismatch: the entry is of another one.
    """
    if state is not None and state.current_generation != entry.generation:
        raise GenerationMismatch(entry.mailbox_id, state.current_generation, entry.generation)


def entry_matches(entry: MailboxEntry, query: EntryQuery) -> bool:
    """Whether `query` asks for `entry`."""
    return (
        (query.mailbox_id is None or entry.mailbox_id == query.mailbox_id)
        and (query.status is None or entry.status == query.status)
        and (query.origin is None or entry.origin == query.origin)
    )
