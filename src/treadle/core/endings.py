"""How work ends without a claim, begins again, and is deleted."""

from collections.abc import Iterable

import msgspec

from treadle.core.closing import ClosingRows, close_runs, close_waiting, end
from treadle.core.codec import Model, always_encoded
from treadle.core.commands import Command, TimedCommand
from treadle.core.ids import EntryId, MailboxId
from treadle.core.limits import Generation, Time, next_number
from treadle.core.mailboxes import (
    SETTLED,
    STATUSES,
    TERMINAL,
    EntryStatus,
    MailboxEntry,
    MailboxRows,
    MailboxState,
    is_terminal,
    next_turn,
    put_last_turn,
)
from treadle.core.pauses import without_pause
from treadle.core.read_set import ReadSet
from treadle.errors import GenerationMismatch, InvalidValue

CANCEL_REASON = "cancelled"
WITHDRAWAL_REASON = "withdrawn"
INTERRUPT_REASON = "superseded by interrupt"
"""Texts in `last_error` of entries that a cancel, a withdrawal or an interrupt has ended."""
DELETION_REASON = "its mailbox was deleted"
"""Text in `termination_detail` of runs whose entry was deleted before it ended."""


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


def _remove(rows: MailboxRows, entries: Iterable[MailboxEntry]) -> int:
    """Remove entries, and return their number."""
    ids = [entry.entry_id for entry in entries]
    for entry_id in ids:
        rows.entries.remove(entry_id)
    return len(ids)


# --- commands -------------------------------------------------------------------------------------


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


class Purge(Command[int], frozen=True, kw_only=True):
    """Deletes the entries that ended before `older_than` (unix milliseconds). Result: how many.

    They are those in one of `statuses`, of one mailbox or, without `mailbox_id`, of all.
    """

    older_than: Time
    mailbox_id: MailboxId | None = None
    statuses: tuple[EntryStatus, ...] = SETTLED

    def check(self) -> None:
        """Refuse statuses of entries that have not ended."""
        for position, status in enumerate(self.statuses):
            if status not in TERMINAL:
                reason = f"entries that are {status} have not ended; cancel them first"
                raise InvalidValue(f"purge.statuses[{position}]", reason)

    def touches(self, read_set: ReadSet) -> None:
        """The mailbox's entries; of all mailboxes they are counted and not loaded."""
        if self.mailbox_id is None:
            read_set.ended_before.add(self.older_than)
        else:
            read_set.mailboxes.add(self.mailbox_id)
            read_set.entries_of.add(self.mailbox_id)

    def apply(self, rows: MailboxRows, now: int) -> int:
        """Remove the entries."""
        if self.mailbox_id is None:
            return rows.purge(self.older_than, self.statuses)
        ended = rows.find_entries(self.mailbox_id, self.statuses)
        return _remove(rows, [entry for entry in ended if entry.updated_at < self.older_than])


class DeleteMailbox(Command[int], frozen=True, kw_only=True):
    """Deletes a mailbox with its entries, in whatever status. Result: how many entries it had.

    The holder of a claimed entry has lost it, and runs are closed, as if it had been cancelled.
    """

    mailbox_id: MailboxId

    def touches(self, read_set: ReadSet) -> None:
        """The mailbox, its entries, and the active runs of those that have not ended."""
        read_set.mailboxes.add(self.mailbox_id)
        read_set.entries_of.add(self.mailbox_id)
        read_set.runs_in.add(self.mailbox_id)

    def apply(self, rows: ClosingRows, now: int) -> int:
        """Remove the entries and the state."""
        entries = list(rows.find_entries(self.mailbox_id, STATUSES))
        for entry in entries:
            if not is_terminal(entry):
                close_runs(rows, entry, "cancelled", DELETION_REASON, now)
        rows.mailboxes.remove(self.mailbox_id)
        return _remove(rows, entries)
