"""Runs: the record of each execution of an agent, and how an append updates it."""

from typing import Any, Literal, Protocol

import msgspec

from treadle.core.codec import Json, Model, always_encoded
from treadle.core.commands import Command, TimedCommand
from treadle.core.ids import EntryId, RunId, ThreadId
from treadle.core.limits import Count, Time
from treadle.core.mailboxes import MailboxRows, is_terminal
from treadle.core.pages import Page
from treadle.core.read_set import ReadSet
from treadle.core.rows import Table
from treadle.errors import AlreadyExists, InvalidValue, NotFound, RunConflict, shorten

RunOrigin = Literal["user", "subagent", "ag_ui", "ai_sdk", "a2a", "internal"]
"""Who asked for a run: a user, another agent, or a protocol's client."""

RunStatus = Literal["running", "waiting", "done"]
"""How far a run is; one that is not done is active."""

ANSWERED = "answered"
"""The termination code of a run that was answered and has not gone on by itself."""


class RunMeta(Model, frozen=True, kw_only=True):
    """The part of an append that is about its run; the fields are those of `RunRecord`.

    Each append replaces all of them, so give everything that is known so far, and totals of tokens.
    Only `metadata` stays as it is when it is None.
    """

    agent_id: str = always_encoded("")
    origin: RunOrigin = always_encoded("user")
    status: RunStatus = always_encoded("running")
    parent_thread_id: ThreadId | None = None
    termination_code: str | None = None
    termination_detail: str | None = None
    source_mailbox_entry_id: EntryId | None = None
    metadata: Json | None = None
    input_tokens: Count = always_encoded(0)
    output_tokens: Count = always_encoded(0)


class RunRecord(Model, frozen=True, kw_only=True):
    """One execution of an agent on a thread; times are unix milliseconds.

    Appends set `parent_run_id`, `parent_thread_id` and `source_mailbox_entry_id` once. They replace
    the other fields each time.
    """

    run_id: RunId
    thread_id: ThreadId
    agent_id: str = always_encoded("")
    parent_run_id: RunId | None = None
    """The run that started it."""
    parent_thread_id: ThreadId | None = None
    origin: RunOrigin = always_encoded("user")
    status: RunStatus = always_encoded("running")
    termination_code: str | None = None
    """Why it ended, in a word of your own that `Runs.list` can filter by."""
    termination_detail: str | None = None
    created_at: Time = always_encoded(0)
    """When it began. A write sets it if it is 0: to that of the known run, or to the present."""
    updated_at: Time = always_encoded(0)
    """When it last changed. A write sets it to the present if it is 0."""
    source_mailbox_entry_id: EntryId | None = None
    """The entry that it works on.

    If that ends and is not accepted, the run is closed in the same commit, if it is active: it is
    done, its `termination_code` is the entry's status, and the detail is the entry's error.
    """
    metadata: Json | None = None
    input_tokens: Count = always_encoded(0)
    output_tokens: Count = always_encoded(0)
    answered_by: str | None = None
    """Who gave the last answer that it waited for, if they said who they are."""
    has_answer: bool = False
    """It goes on after an answer, and no append has updated it since.

    If its entry is accepted before one does, the run is done in the same commit, as "answered".
    """


class RunPage(Page[RunRecord], frozen=True, kw_only=True):
    """A page of runs; `total` counts all that match."""


class RunRows(Protocol):
    """The rows that commands and queries about runs need."""

    @property
    def runs(self) -> Table[RunRecord]:
        """All runs."""
        ...


class WaitRows(MailboxRows, RunRows, Protocol):
    """The rows that are needed to end a wait."""


class CountRows(WaitRows, Protocol):
    """The rows that are needed to count the tokens of a run, which may have no record."""

    @property
    def threads(self) -> Table[Any]:
        """All threads."""
        ...


# --- rules ----------------------------------------------------------------------------------------


def record_run(
    rows: RunRows,
    run_id: str,
    thread_id: str,
    parent_run_id: str | None,
    meta: RunMeta | None,
    now: int,
) -> None:
    """Create or update the run of an append.

    The first writer wins for `parent_run_id`, `parent_thread_id` and `source_mailbox_entry_id`.
    Without `meta` only the time of a known run changes.
    """
    before = rows.runs.get(run_id)
    if meta is not None:
        first = before or RunRecord(run_id=run_id, thread_id=thread_id, created_at=now)
        rows.runs.put(run_id, _updated(first, thread_id, parent_run_id, meta, now))
    elif before is not None:
        rows.runs.put(run_id, msgspec.structs.replace(before, updated_at=now))


def is_active(run: RunRecord) -> bool:
    """Return whether the run is not done."""
    return run.status != "done"


def active_order(run: RunRecord) -> tuple[int, int, str]:
    """The order of active runs, newest last: by creation, then by update, then by id."""
    return run.created_at, run.updated_at, run.run_id


def listing_order(run: RunRecord) -> tuple[int, str]:
    """The order of listings: oldest first, then by id."""
    return run.created_at, run.run_id


def _updated(
    run: RunRecord, thread_id: str, parent_run_id: str | None, meta: RunMeta, now: int
) -> RunRecord:
    return msgspec.structs.replace(
        run,
        thread_id=thread_id,
        agent_id=meta.agent_id,
        parent_run_id=_first(run.parent_run_id, parent_run_id),
        parent_thread_id=_first(run.parent_thread_id, meta.parent_thread_id),
        origin=meta.origin,
        status=meta.status,
        termination_code=meta.termination_code,
        termination_detail=meta.termination_detail,
        updated_at=now,
        source_mailbox_entry_id=_first(run.source_mailbox_entry_id, meta.source_mailbox_entry_id),
        metadata=run.metadata if meta.metadata is None else meta.metadata,
        input_tokens=meta.input_tokens,
        output_tokens=meta.output_tokens,
        has_answer=False,
    )


def _first(earlier: str | None, later: str | None) -> str | None:
    return later if earlier is None else earlier


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
        self._require_entry(rows)
        ended = msgspec.structs.replace(
            run,
            status=self.status,
            termination_code=self.termination_code,
            termination_detail=self.termination_detail,
            updated_at=now,
            answered_by=self.answered_by,
            has_answer=self.status == "running",
        )
        rows.runs.put(self.run_id, ended)
        return ended

    def _require_entry(self, rows: WaitRows) -> None:
        if self.status != "running" or self.entry_id is None:
            return
        entry = rows.entries.get(self.entry_id)
        if entry is None or is_terminal(entry):
            reason = f"its entry {shorten(self.entry_id)} has ended; end its wait as 'done'"
            raise RunConflict(self.run_id, "waiting", cannot_go_on=reason)


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
