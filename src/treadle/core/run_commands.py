"""Commands that put, check and delete the records of runs, end waits, and count tokens."""

from typing import Literal, Protocol

import msgspec

from treadle.core.commands import Command, TimedCommand
from treadle.core.ids import EntryId, RunId, ThreadId
from treadle.core.limits import Count, later
from treadle.core.mailboxes import MailboxEntry, MailboxRows, is_terminal
from treadle.core.read_set import ReadSet
from treadle.core.runs import ANSWERED, RunRecord, RunRows
from treadle.core.threads import ThreadRows
from treadle.core.turns import merged
from treadle.errors import AlreadyExists, InvalidValue, NotFound, RunConflict, shorten


class WaitRows(MailboxRows, RunRows, Protocol):
    """The rows that are needed to end a wait."""


class CountRows(WaitRows, ThreadRows, Protocol):
    """The rows that are needed to count the tokens of a run, which may have no record."""


# --- commands -------------------------------------------------------------------------------------


class UpsertRun(TimedCommand[None], frozen=True, kw_only=True):
    """Inserts or replaces a run's record as a whole. Result: None.

    Its times stay as they are, except those that are 0, which are set.
    """

    run: RunRecord

    def touches(self, read_set: ReadSet) -> None:
        """The run, and its thread, by whose owner the run is found."""
        read_set.runs.add(self.run.run_id)
        read_set.threads.add(self.run.thread_id)

    def apply(self, rows: RunRows, now: int) -> None:
        """Put the record, with the times that it lacks."""
        run = self.run
        if not run.created_at or not run.updated_at:
            known = rows.runs.get(run.run_id)
            began = run.created_at or (known.created_at if known else now)
            changed = run.updated_at or now
            run = msgspec.structs.replace(run, created_at=began, updated_at=changed)
        rows.runs.put(run.run_id, run)


class CheckRun(Command[None], frozen=True, kw_only=True):
    """Lets its batch commit only if a run belongs to a thread, or does not exist. Result: None.

    A write of the batch could otherwise move the run to that thread. Fails with `AlreadyExists`.
    """

    run_id: RunId
    thread_id: ThreadId

    def touches(self, read_set: ReadSet) -> None:
        """The run."""
        read_set.runs.add(self.run_id)

    def apply(self, rows: RunRows, now: int) -> None:
        """Compare the threads."""
        run = rows.runs.get(self.run_id)
        if run is not None and run.thread_id != self.thread_id:
            raise AlreadyExists("run", self.run_id, "another thread has it; use another id")


class EndWait(TimedCommand[RunRecord], frozen=True, kw_only=True):
    """Ends the wait of a run: it got its answer, or needs none. Result: its record after that.

    It is done, or goes on. Fails with `NotFound`, or with `RunConflict` if it does not wait, or
    if the entry that it is to go on with has ended.
    """

    run_id: RunId
    status: Literal["running", "done"] = "done"
    termination_code: str | None = None
    termination_detail: str | None = None
    answered_by: str | None = None
    entry_id: EntryId | None = None

    def touches(self, read_set: ReadSet) -> None:
        """The run, and the entry that it goes on with."""
        read_set.runs.add(self.run_id)
        if self.entry_id is not None:
            read_set.entries.add(self.entry_id)

    def apply(self, rows: WaitRows, now: int) -> RunRecord:
        """Put the record, if the run waits."""
        run = rows.runs.get(self.run_id)
        if run is None:
            raise NotFound("run", self.run_id)
        if run.status != "waiting":
            raise RunConflict(self.run_id, run.status, run.termination_code)
        entry = self._require_entry(rows)
        ended = msgspec.structs.replace(
            run,
            status=self.status,
            termination_code=self.termination_code,
            termination_detail=self.termination_detail,
            updated_at=_time_of_answer(entry, now),
            answered_by=self.answered_by,
            has_answer=self.status == "running",
        )
        rows.runs.put(self.run_id, ended)
        return ended

    def _require_entry(self, rows: WaitRows) -> MailboxEntry | None:
        if self.status != "running" or self.entry_id is None:
            return None
        entry = rows.entries.get(self.entry_id)
        if entry is None or is_terminal(entry):
            reason = f"its entry {shorten(self.entry_id)} has ended; end its wait as 'done'"
            raise RunConflict(self.run_id, "waiting", cannot_go_on=reason)
        return entry


def _time_of_answer(entry: MailboxEntry | None, now: int) -> int:
    """The present; or later, if the entry that goes on is held: after its claim.

    Its holder has not seen the answer, and a `Pause` compares the two times. So they must not be
    the same millisecond, and a clock that was set back in between must not change their order.
    """
    if entry is None or entry.status != "claimed":
        return now
    return max(now, later(entry.updated_at, 1))


class CountTokens(TimedCommand[bool], frozen=True, kw_only=True):
    """Raises what a run has used to at least these tokens. Result: whether there is such a run.

    It lowers nothing, so it may be committed again, even by a process that holds no claim.
    """

    run_id: RunId
    input_tokens: Count = 0
    output_tokens: Count = 0
    ends_run: bool = False
    """A run that is "running" is done with it. One that waits goes on waiting.

    One that was answered and has not gone on since is "answered".
    """
    thread_id: ThreadId | None = None
    """Only if the run belongs to this thread; None: whichever it belongs to."""
    merged_into: RunId | None = None
    """The run became a part of this one: it is done with it, as "merged", however far it was."""
    first: RunRecord | None = None
    """The record that is put before, if the run has none.

    If the entry that this record names has ended, so has the run, as if it had been there then. If
    neither that entry nor the thread exists, none is put: they were deleted, as by an erasure.
    """

    def check(self) -> None:
        """Refuse the record of another run."""
        if self.first is not None and self.first.run_id != self.run_id:
            raise InvalidValue("countTokens.first.run_id", f"it must be {shorten(self.run_id)}")

    def touches(self, read_set: ReadSet) -> None:
        """The run, and what decides whether a new record is put, and is active."""
        read_set.runs.add(self.run_id)
        if self.first is not None:
            read_set.threads.add(self.first.thread_id)
            if self.first.source_mailbox_entry_id is not None:
                read_set.entries.add(self.first.source_mailbox_entry_id)

    def apply(self, rows: CountRows, now: int) -> bool:
        """Put the record, if that changes it."""
        known = rows.runs.get(self.run_id)
        run = self._first(rows, now) if known is None else known
        if run is None or self.thread_id not in (None, run.thread_id):
            return False
        ends = self.ends_run and run.status == "running"
        counted = msgspec.structs.replace(
            run,
            status="done" if ends else run.status,
            termination_code=ANSWERED if ends and run.has_answer else run.termination_code,
            has_answer=run.has_answer and not ends,
            input_tokens=max(run.input_tokens, self.input_tokens),
            output_tokens=max(run.output_tokens, self.output_tokens),
        )
        if self.merged_into is not None:
            counted = merged(counted, self.merged_into)
        if counted != known:
            rows.runs.put(self.run_id, msgspec.structs.replace(counted, updated_at=now))
        return True

    def _first(self, rows: CountRows, now: int) -> RunRecord | None:
        if self.first is None:
            return None
        first = msgspec.structs.replace(self.first, created_at=now, updated_at=now)
        if first.source_mailbox_entry_id is None:
            return first
        entry = rows.entries.get(first.source_mailbox_entry_id)
        if entry is None and first.thread_id not in rows.threads:
            return None
        if entry is None:  # it was deleted, with its mailbox
            return msgspec.structs.replace(first, status="done", termination_code="cancelled")
        if not is_terminal(entry):
            return first
        is_accepted = entry.status == "accepted"
        return msgspec.structs.replace(
            first,
            status="done",
            termination_code=None if is_accepted else entry.status,
            termination_detail=None if is_accepted else entry.last_error,
        )


class DeleteRun(Command[bool], frozen=True, kw_only=True):
    """Deletes a run's record. Result: whether it existed."""

    run_id: RunId

    def touches(self, read_set: ReadSet) -> None:
        """The run."""
        read_set.runs.add(self.run_id)

    def apply(self, rows: RunRows, now: int) -> bool:
        """Remove the record."""
        existed = self.run_id in rows.runs
        if existed:
            rows.runs.remove(self.run_id)
        return existed
