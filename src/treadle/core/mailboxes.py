"""Mailboxes: work waiting for an agent, how it comes in, and how it ends without a claim.

What a claim may do is in `treadle.core.claims`, and what can be read in
`treadle.core.mailbox_queries`.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal, Protocol, get_args

import msgspec

from treadle.core.codec import Json, Model, always_encoded
from treadle.core.commands import Command, TimedCommand
from treadle.core.ids import EntryId, MailboxId
from treadle.core.limits import (
    LARGEST_COUNT,
    Attempts,
    Count,
    Generation,
    Headers,
    Priority,
    Time,
    later,
)
from treadle.core.pages import Page
from treadle.core.read_set import ReadSet
from treadle.core.rows import Table
from treadle.errors import AlreadyExists, GenerationMismatch, InvalidValue

EntryOrigin = Literal["external", "internal"]
"""Where an entry comes from: from outside, or from an agent; no rule depends on it."""

EntryStatus = Literal["queued", "claimed", "accepted", "superseded", "cancelled", "dead_letter"]
"""The status of an entry; all but the first two are final."""

STATUSES: tuple[EntryStatus, ...] = get_args(EntryStatus)
UNFINISHED: tuple[EntryStatus, ...] = ("queued", "claimed")
TERMINAL: frozenset[EntryStatus] = frozenset(STATUSES) - frozenset(UNFINISHED)
"""The statuses of entries that have ended."""
SETTLED: tuple[EntryStatus, ...] = ("accepted", "superseded", "cancelled")
"""The statuses that a purge removes by default: people have to look at dead letters first."""


class MailboxEntry(Model, frozen=True, kw_only=True):
    """A piece of work in a mailbox; times are unix milliseconds, higher priorities come first."""

    entry_id: EntryId
    mailbox_id: MailboxId
    origin: EntryOrigin = always_encoded("external")
    sender_id: str | None = None
    payload: Json = always_encoded(None)
    headers: Headers = msgspec.field(default_factory=dict)
    """Data for the systems around the agent, such as the context of a trace or a tenant."""
    priority: Priority = always_encoded(0)
    dedupe_key: str | None = None
    """The mailbox accepts no second entry with it until this one is purged."""
    generation: Generation = always_encoded(0)
    """The generation of the mailbox when the entry was enqueued."""
    status: EntryStatus = always_encoded("queued")
    available_at: Time = always_encoded(0)
    """When it is due."""
    attempt_count: Attempts = always_encoded(0)
    """How often it was claimed; a release takes one back."""
    last_error: str | None = None
    """The error of the last attempt, or why the entry was ended."""
    last_traceback: str | None = None
    """Where this error was raised, if it came with one."""
    claim_token: str | None = None
    """The token that settles the claim; like the next two fields, None unless it is claimed.

    Tokens of what one holder has claimed and taken in a mailbox begin alike.
    """
    claimed_by: str | None = None
    lease_until: Time | None = None
    """From this time on another worker may claim it."""
    turn: Time | None = None
    """Its turn among the entries of its priority in its mailbox. None: that of `available_at`.

    An entry that was sent without a delay has a turn, and is due at once, whatever the clock says.
    One that waits for its retry and keeps its order has a turn before that time.
    """
    closes_runs: bool = False
    """Whether its active runs are closed when it ends and is not accepted. `send` sets it.

    These are the runs whose `source_mailbox_entry_id` is its id.
    """
    created_at: Time = always_encoded(0)
    updated_at: Time = always_encoded(0)


class MailboxState(Model, frozen=True, kw_only=True):
    """A mailbox's generation; an interrupt raises it and ends the entries of older generations."""

    mailbox_id: MailboxId
    current_generation: Generation = always_encoded(0)
    updated_at: Time = always_encoded(0)
    last_turn: Time = 0
    """The turn of the last entry that was sent to it without a delay."""
    paused_at: Time | None = None
    """When it was paused; None if it is not, and then the next two fields are None, too."""
    paused_until: Time | None = None
    """From this time on claims get its entries again; None: once it is resumed."""
    pause_reason: str | None = None


class Sent(Model, frozen=True, kw_only=True):
    """The result of a send."""

    entry: MailboxEntry
    """The entry that was put, or the one that has the dedupe key."""
    was_known: bool = always_encoded(False)
    """Whether the mailbox had seen the dedupe key: then nothing was written."""


class EntryPage(Page[MailboxEntry], frozen=True, kw_only=True):
    """A page of entries; `total` counts all that match."""


class MailboxPage(Page[MailboxState], frozen=True, kw_only=True):
    """A page of mailboxes' states; `total` counts all."""


class MailboxStats(Model, frozen=True, kw_only=True):
    """The number of entries in each status."""

    queued: Count = always_encoded(0)
    claimed: Count = always_encoded(0)
    accepted: Count = always_encoded(0)
    superseded: Count = always_encoded(0)
    cancelled: Count = always_encoded(0)
    dead_letter: Count = always_encoded(0)


class MailboxRows(Protocol):
    """The rows that commands and queries about mailboxes need."""

    @property
    def entries(self) -> Table[MailboxEntry]:
        """All entries."""
        ...

    @property
    def mailboxes(self) -> Table[MailboxState]:
        """The states of all mailboxes."""
        ...

    def find_duplicate(self, mailbox_id: str, dedupe_key: str) -> MailboxEntry | None:
        """The entry of the mailbox that has the dedupe key, or None."""
        ...

    def find_unfinished(self, mailbox_id: str) -> Iterable[MailboxEntry]:
        """The queued and claimed entries of the mailbox, in no order."""
        ...

    def find_entries(
        self, mailbox_id: str | None, statuses: Iterable[EntryStatus]
    ) -> Iterable[MailboxEntry]:
        """The entries of a mailbox, or of all, in one of the statuses, in no order."""
        ...

    def count_entries(self, mailbox_id: str | None) -> Mapping[EntryStatus, int]:
        """The number of entries in each status, of a mailbox or of all."""
        ...

    def purge(self, older_than: int, statuses: Collection[EntryStatus]) -> int:
        """Remove the entries that ended in `statuses` before a time, and return their number."""
        ...


# --- rules ----------------------------------------------------------------------------------------


def is_terminal(entry: MailboxEntry) -> bool:
    """Return whether the entry has ended."""
    return entry.status in TERMINAL


def listing_order(entry: MailboxEntry) -> tuple[int, str]:
    """The order of listings: oldest first, then by id."""
    return entry.created_at, entry.entry_id


def moved(entry: MailboxEntry, status: EntryStatus, now: int, **changes: Any) -> MailboxEntry:
    """The entry in a status in which nobody holds it: its claim ends."""
    return msgspec.structs.replace(
        entry,
        status=status,
        updated_at=now,
        claim_token=None,
        claimed_by=None,
        lease_until=None,
        **changes,
    )


def failed(
    entry: MailboxEntry,
    status: EntryStatus,
    now: int,
    error: str,
    traceback: str | None = None,
    **changes: Any,
) -> MailboxEntry:
    """The same, with the error, or the reason, in `last_error`."""
    return moved(entry, status, now, last_error=error, last_traceback=traceback, **changes)


def _enqueue(rows: MailboxRows, entry: MailboxEntry) -> None:
    """Put a new entry, and a state for its mailbox if it has none.

    The order of the checks is tirea's: id, generation, dedupe key.

    Raises:
        AlreadyExists: the id or the dedupe key is taken.
        GenerationMismatch: the entry is of another generation than its mailbox.
    """
    if entry.entry_id in rows.entries:
        raise AlreadyExists("mailbox entry", entry.entry_id)
    state = rows.mailboxes.get(entry.mailbox_id)
    if state is not None and state.current_generation != entry.generation:
        raise GenerationMismatch(entry.mailbox_id, state.current_generation, entry.generation)
    duplicate = _find_duplicate(rows, entry.mailbox_id, entry.dedupe_key)
    if duplicate is not None:
        advice = f"mailbox {entry.mailbox_id!r} has it in entry {duplicate.entry_id!r}"
        raise AlreadyExists("dedupe key", str(entry.dedupe_key), advice)
    if state is None:
        put_first_state(rows, entry)
    rows.entries.put(entry.entry_id, entry)


def _find_duplicate(
    rows: MailboxRows, mailbox_id: str, dedupe_key: str | None
) -> MailboxEntry | None:
    return None if dedupe_key is None else rows.find_duplicate(mailbox_id, dedupe_key)


def put_first_state(rows: MailboxRows, entry: MailboxEntry) -> None:
    """Put the state of a mailbox that has none, at the generation of its first entry."""
    state = MailboxState(
        mailbox_id=entry.mailbox_id,
        current_generation=entry.generation,
        updated_at=entry.updated_at,
    )
    rows.mailboxes.put(entry.mailbox_id, state)


def next_turn(state: MailboxState | None, now: int) -> int:
    """The turn of an entry that is sent at `now`: after all that were sent, whatever the clock."""
    return now if state is None else max(now, later(state.last_turn, 1))


def put_last_turn(rows: MailboxRows, mailbox_id: str, turn: int) -> None:
    """Remember the last turn of a mailbox that has a state."""
    state = rows.mailboxes.get(mailbox_id)
    if state is not None:
        rows.mailboxes.put(mailbox_id, msgspec.structs.replace(state, last_turn=turn))


def has_place_of(entry: MailboxEntry, before: MailboxEntry) -> bool:
    """Return whether an entry was sent to follow another one: it has the turn of that one."""
    return entry.turn is not None and entry.turn == before.turn


def _right_behind(before: MailboxEntry, entry: MailboxEntry) -> MailboxEntry:
    """The new entry, in the place of the one before it. Times of creation tell them apart."""
    created_at = max(entry.created_at, later(before.created_at, 1))
    return msgspec.structs.replace(
        entry,
        priority=before.priority,
        turn=before.turn,
        available_at=before.available_at,
        created_at=created_at,
        updated_at=created_at,
    )


def _touch_new_entry(
    read_set: ReadSet, entry_id: str, mailbox_id: str, dedupe_key: str | None
) -> None:
    read_set.entries.add(entry_id)
    read_set.mailboxes.add(mailbox_id)
    if dedupe_key is not None:
        read_set.duplicates.add((mailbox_id, dedupe_key))


# --- commands -------------------------------------------------------------------------------------


class Enqueue(Command[None], frozen=True, kw_only=True):
    """Enqueues an entry as it is, or fails with `AlreadyExists` or `GenerationMismatch`."""

    entry: MailboxEntry

    def check(self) -> None:
        """Refuse an entry that is claimed, has ended, or leaves its counts no room to rise."""
        entry = self.entry
        if entry.status != "queued":
            raise InvalidValue("enqueue.entry.status", f"it must be 'queued', not {entry.status!r}")
        for name in ("claim_token", "claimed_by", "lease_until"):
            if getattr(entry, name) is not None:
                reason = "a new entry is not claimed; leave it out"
                raise InvalidValue(f"enqueue.entry.{name}", reason)
        for name in ("generation", "attempt_count"):
            if getattr(entry, name) > LARGEST_COUNT:
                raise InvalidValue(f"enqueue.entry.{name}", f"it must be at most {LARGEST_COUNT}")

    def touches(self, read_set: ReadSet) -> None:
        """The entry's id, its mailbox, and the dedupe key."""
        entry = self.entry
        _touch_new_entry(read_set, entry.entry_id, entry.mailbox_id, entry.dedupe_key)

    def apply(self, rows: MailboxRows, now: int) -> None:
        """Put the entry."""
        _enqueue(rows, self.entry)


class Send(TimedCommand[Sent], frozen=True, kw_only=True):
    """Enqueues an entry of the mailbox's current generation, due after `delay_ms` or at `due_at`.

    Result: `Sent`. If the mailbox has seen `dedupe_key`, nothing is put.
    """

    mailbox_id: MailboxId
    entry_id: EntryId
    payload: Json
    headers: Headers = msgspec.field(default_factory=dict)
    dedupe_key: str | None = None
    priority: Priority = 0
    delay_ms: Time = 0
    due_at: Time | None = None
    """When it is due; at once if that is not later than now."""
    sender_id: str | None = None
    origin: EntryOrigin = "external"
    follows: EntryId | None = None
    """An unfinished entry of the mailbox that it follows, before all that were sent in between.

    It has the priority of that entry, and is due when that is. If that entry has ended, or is in
    another mailbox, it changes nothing.
    """

    def check(self) -> None:
        """Refuse two times at which it is due."""
        if self.delay_ms and self.due_at is not None:
            raise InvalidValue("send.due_at", "give either due_at or delay_ms, not both")

    def touches(self, read_set: ReadSet) -> None:
        """The new entry's id, its mailbox, the dedupe key, and the entry that it follows."""
        _touch_new_entry(read_set, self.entry_id, self.mailbox_id, self.dedupe_key)
        if self.follows is not None:
            read_set.entries.add(self.follows)

    def apply(self, rows: MailboxRows, now: int) -> Sent:
        """Put the entry, unless the dedupe key is known."""
        duplicate = _find_duplicate(rows, self.mailbox_id, self.dedupe_key)
        if duplicate is not None:
            return Sent(entry=duplicate, was_known=True)
        before = None if self.follows is None else rows.entries.get(self.follows)
        if before is not None and before.mailbox_id == self.mailbox_id and not is_terminal(before):
            entry = _right_behind(before, self._entry(rows, before.turn, now))
            _enqueue(rows, entry)
            return Sent(entry=entry)
        state = rows.mailboxes.get(self.mailbox_id)
        is_delayed = self.delay_ms > 0 if self.due_at is None else self.due_at > now
        turn = None if is_delayed else next_turn(state, now)
        entry = self._entry(rows, turn, now)
        _enqueue(rows, entry)
        if turn is not None:
            put_last_turn(rows, entry.mailbox_id, turn)
        return Sent(entry=entry)

    def _due(self, now: int) -> int:
        return later(now, self.delay_ms) if self.due_at is None else max(self.due_at, now)

    def _entry(self, rows: MailboxRows, turn: int | None, now: int) -> MailboxEntry:
        state = rows.mailboxes.get(self.mailbox_id)
        return MailboxEntry(
            entry_id=self.entry_id,
            mailbox_id=self.mailbox_id,
            origin=self.origin,
            sender_id=self.sender_id,
            payload=self.payload,
            headers=self.headers,
            priority=self.priority,
            dedupe_key=self.dedupe_key,
            generation=state.current_generation if state else 0,
            available_at=self._due(now),
            turn=turn,
            closes_runs=True,
            created_at=now,
            updated_at=now,
        )


class EnsureMailbox(TimedCommand[MailboxState], frozen=True, kw_only=True):
    """Gives a mailbox a state, at generation 0 if it is new. Result: `MailboxState`."""

    mailbox_id: MailboxId

    def touches(self, read_set: ReadSet) -> None:
        """The mailbox."""
        read_set.mailboxes.add(self.mailbox_id)

    def apply(self, rows: MailboxRows, now: int) -> MailboxState:
        """Put the state with a new time."""
        state = rows.mailboxes.get(self.mailbox_id) or MailboxState(mailbox_id=self.mailbox_id)
        state = msgspec.structs.replace(state, updated_at=now)
        rows.mailboxes.put(self.mailbox_id, state)
        return state
