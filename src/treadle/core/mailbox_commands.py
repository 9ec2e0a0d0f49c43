"""Commands about mailboxes: how work comes in, ends without a claim, and begins again.

What the holder of a claim may do is in `treadle.core.claims`.
"""

from collections.abc import Iterable

import msgspec

from treadle.core.codec import Json, Model, always_encoded
from treadle.core.commands import Command, TimedCommand
from treadle.core.ids import EntryId, MailboxId
from treadle.core.limits import (
    LARGEST_COUNT,
    Generation,
    Headers,
    Priority,
    Time,
    later,
    next_number,
)
from treadle.core.mailbox_pauses import without_pause
from treadle.core.mailboxes import (
    EntryOrigin,
    EntryStatus,
    MailboxEntry,
    MailboxRows,
    MailboxState,
    Sent,
    is_terminal,
    next_turn,
    put_first_state,
    put_last_turn,
)
from treadle.core.read_set import ReadSet
from treadle.core.run_closing import ClosingRows, close_waiting, end
from treadle.errors import AlreadyExists, GenerationMismatch, InvalidValue

CANCEL_REASON = "cancelled"
WITHDRAWAL_REASON = "withdrawn"
INTERRUPT_REASON = "superseded by interrupt"
"""Texts in `last_error` of entries that a cancel, a withdrawal or an interrupt has ended."""


class Interrupted(Model, frozen=True, kw_only=True):
    """The result of an interrupt: the mailbox's new state, and the entries it superseded."""

    mailbox_state: MailboxState
    superseded_entries: tuple[MailboxEntry, ...] = always_encoded(())


# --- rules ----------------------------------------------------------------------------------------


def _end(
    rows: ClosingRows, entry: MailboxEntry | None, status: EntryStatus, reason: str, now: int
) -> MailboxEntry | None:
    """End an entry; one that has ended, or does not exist, stays as it is."""
    if entry is None or is_terminal(entry):
        return entry
    return end(rows, entry, status, reason, now)


def _end_all(
    rows: ClosingRows, entries: Iterable[MailboxEntry], status: EntryStatus, reason: str, now: int
) -> tuple[MailboxEntry, ...]:
    """End unfinished entries, in the order of their ids."""
    in_order = sorted(entries, key=lambda entry: entry.entry_id)
    return tuple(end(rows, entry, status, reason, now) for entry in in_order)


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


class Cancel(TimedCommand[MailboxEntry | None], frozen=True, kw_only=True):
    """Cancels an entry, and closes its runs. Result: the entry (unchanged if ended), or None."""

    entry_id: EntryId

    def touches(self, read_set: ReadSet) -> None:
        """The entry and its active runs."""
        read_set.entries.add(self.entry_id)
        read_set.payloads.add(self.entry_id)
        read_set.runs_of.add(self.entry_id)

    def apply(self, rows: ClosingRows, now: int) -> MailboxEntry | None:
        """End the entry."""
        return _end(rows, rows.entries.get(self.entry_id), "cancelled", CANCEL_REASON, now)


class Withdraw(TimedCommand[MailboxEntry | None], frozen=True, kw_only=True):
    """Cancels the entry of a mailbox that has a dedupe key, if it is queued.

    Result: the entry (unchanged if it is claimed or has ended), or None.
    """

    mailbox_id: MailboxId
    dedupe_key: str

    def touches(self, read_set: ReadSet) -> None:
        """The mailbox, the entry that has the key, and its active runs."""
        read_set.mailboxes.add(self.mailbox_id)
        read_set.duplicates.add((self.mailbox_id, self.dedupe_key))
        read_set.runs_of_keys.add((self.mailbox_id, self.dedupe_key))

    def apply(self, rows: ClosingRows, now: int) -> MailboxEntry | None:
        """End the entry."""
        entry = rows.find_duplicate(self.mailbox_id, self.dedupe_key)
        if entry is None or entry.status != "queued":
            return entry
        return end(rows, entry, "cancelled", WITHDRAWAL_REASON, now)


class Supersede(TimedCommand[MailboxEntry | None], frozen=True, kw_only=True):
    """Ends an entry because of a newer one. Result: as for `Cancel`."""

    entry_id: EntryId
    reason: str

    def touches(self, read_set: ReadSet) -> None:
        """The entry and its active runs."""
        read_set.entries.add(self.entry_id)
        read_set.payloads.add(self.entry_id)
        read_set.runs_of.add(self.entry_id)

    def apply(self, rows: ClosingRows, now: int) -> MailboxEntry | None:
        """End the entry."""
        return _end(rows, rows.entries.get(self.entry_id), "superseded", self.reason, now)


class CancelPending(TimedCommand[tuple[MailboxEntry, ...]], frozen=True, kw_only=True):
    """Cancels all unfinished entries of a mailbox but `exclude`. Result: the cancelled entries."""

    mailbox_id: MailboxId
    exclude: EntryId | None = None

    def touches(self, read_set: ReadSet) -> None:
        """The mailbox, its unfinished entries, and their active runs."""
        read_set.mailboxes.add(self.mailbox_id)
        read_set.unfinished.add(self.mailbox_id)
        read_set.runs_in.add(self.mailbox_id)

    def apply(self, rows: ClosingRows, now: int) -> tuple[MailboxEntry, ...]:
        """End the entries."""
        unfinished = rows.find_unfinished(self.mailbox_id)
        entries = [entry for entry in unfinished if entry.entry_id != self.exclude]
        return _end_all(rows, entries, "cancelled", CANCEL_REASON, now)


class Interrupt(TimedCommand[Interrupted], frozen=True, kw_only=True):
    """Raises a mailbox's generation, and supersedes older entries. Result: `Interrupted`.

    It also ends a pause, and closes the runs that wait in the thread with the mailbox's id. With
    `expected`, it fails with `GenerationMismatch` if the mailbox is at another generation.
    """

    mailbox_id: MailboxId
    expected: Generation | None = None
    """Only if the mailbox is at this generation; one that does not exist is at 0."""

    def touches(self, read_set: ReadSet) -> None:
        """The mailbox, its unfinished entries, their active runs, and those that wait."""
        read_set.mailboxes.add(self.mailbox_id)
        read_set.unfinished.add(self.mailbox_id)
        read_set.runs_in.add(self.mailbox_id)
        read_set.waiting_runs_in.add(self.mailbox_id)

    def apply(self, rows: ClosingRows, now: int) -> Interrupted:
        """Put the new state, and end the entries of older generations."""
        before = rows.mailboxes.get(self.mailbox_id) or MailboxState(mailbox_id=self.mailbox_id)
        self._check_generation(before.current_generation)
        whose = f"the generation of mailbox {self.mailbox_id!r}"
        generation = next_number(before.current_generation, whose)
        state = msgspec.structs.replace(
            without_pause(before), current_generation=generation, updated_at=now
        )
        rows.mailboxes.put(self.mailbox_id, state)
        unfinished = rows.find_unfinished(self.mailbox_id)
        older = [entry for entry in unfinished if entry.generation < generation]
        ended = _end_all(rows, older, "superseded", INTERRUPT_REASON, now)
        close_waiting(rows, self.mailbox_id, INTERRUPT_REASON, now)
        return Interrupted(mailbox_state=state, superseded_entries=ended)

    def _check_generation(self, generation: int) -> None:
        if self.expected is not None and self.expected != generation:
            advice = "look at it again, and decide again whether to interrupt it"
            raise GenerationMismatch(self.mailbox_id, generation, self.expected, advice)


class Requeue(TimedCommand[MailboxEntry | None], frozen=True, kw_only=True):
    """Queues a dead letter again. Result: the entry (unchanged if it is none), or None."""

    entry_id: EntryId

    def touches(self, read_set: ReadSet) -> None:
        """The entry; its mailbox comes with it."""
        read_set.entries.add(self.entry_id)
        read_set.payloads.add(self.entry_id)

    def apply(self, rows: MailboxRows, now: int) -> MailboxEntry | None:
        """Put the entry as if it had just been sent: due now, without attempts."""
        entry = rows.entries.get(self.entry_id)
        if entry is None or entry.status != "dead_letter":
            return entry
        state = rows.mailboxes.get(entry.mailbox_id)
        turn = next_turn(state, now)
        after = msgspec.structs.replace(
            entry,
            status="queued",
            generation=state.current_generation if state else entry.generation,
            available_at=now,
            turn=turn,
            attempt_count=0,
            updated_at=now,
        )
        rows.entries.put(self.entry_id, after)
        put_last_turn(rows, entry.mailbox_id, turn)
        return after
