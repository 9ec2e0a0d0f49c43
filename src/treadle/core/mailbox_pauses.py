"""Pauses: entries can be sent to a paused mailbox, and none can be claimed from it."""

import msgspec

from treadle.core.commands import TimedCommand
from treadle.core.ids import EntryId, MailboxId
from treadle.core.limits import Time
from treadle.core.mailboxes import MailboxRows, MailboxState
from treadle.core.read_set import ReadSet
from treadle.core.run_closing import ClosingRows


def is_paused(state: MailboxState | None, now: int) -> bool:
    """Return whether claims get nothing from a mailbox."""
    if state is None or state.paused_at is None:
        return False
    return state.paused_until is None or now < state.paused_until


def without_pause(state: MailboxState) -> MailboxState:
    """The state of a mailbox that is not paused."""
    return msgspec.structs.replace(state, paused_at=None, paused_until=None, pause_reason=None)


class Pause(TimedCommand[MailboxState], frozen=True, kw_only=True):
    """Pauses a mailbox until `until`, or until it is resumed. Result: `MailboxState`.

    An interrupt ends the pause, too. If the mailbox is paused already, its end and its reason are
    replaced.
    """

    mailbox_id: MailboxId
    until: Time | None = None
    reason: str | None = None
    unless_answered: EntryId | None = None
    """An entry of the mailbox, whose holder pauses.

    If a run of it got an answer after `since`, and has not been written since, nothing is paused:
    the answer came while the holder was about to wait for it, and nobody else would end the pause.
    """
    since: Time = 0
    """When `unless_answered` was claimed: its holder knows of earlier answers."""

    def touches(self, read_set: ReadSet) -> None:
        """The mailbox; the entry and its active runs."""
        read_set.mailboxes.add(self.mailbox_id)
        if self.unless_answered is not None:
            read_set.entries.add(self.unless_answered)
            read_set.runs_of.add(self.unless_answered)

    def apply(self, rows: ClosingRows, now: int) -> MailboxState:
        """Put the state, unless the answer has come."""
        state = rows.mailboxes.get(self.mailbox_id) or MailboxState(mailbox_id=self.mailbox_id)
        if self._is_answered(rows):
            return state
        paused = msgspec.structs.replace(
            state,
            paused_at=now,
            paused_until=self.until,
            pause_reason=self.reason,
            updated_at=now,
        )
        rows.mailboxes.put(self.mailbox_id, paused)
        return paused

    def _is_answered(self, rows: ClosingRows) -> bool:
        if self.unless_answered is None:
            return False
        entry = rows.entries.get(self.unless_answered)
        if entry is None or entry.mailbox_id != self.mailbox_id:
            return False
        runs = rows.find_runs_of(entry)
        return any(run.has_answer and run.updated_at > self.since for run in runs)


class Resume(TimedCommand[MailboxState | None], frozen=True, kw_only=True):
    """Ends the pause of a mailbox. Result: its state (unchanged without a pause), or None."""

    mailbox_id: MailboxId

    def touches(self, read_set: ReadSet) -> None:
        """The mailbox."""
        read_set.mailboxes.add(self.mailbox_id)

    def apply(self, rows: MailboxRows, now: int) -> MailboxState | None:
        """Put the state."""
        state = rows.mailboxes.get(self.mailbox_id)
        if state is None or state.paused_at is None:
            return state
        resumed = msgspec.structs.replace(without_pause(state), updated_at=now)
        rows.mailboxes.put(self.mailbox_id, resumed)
        return resumed
