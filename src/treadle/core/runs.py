"""Runs: the record of each execution of an agent, and how an append updates it.

The commands about them are in `treadle.core.run_commands`.
"""

from typing import Literal, Protocol

import msgspec

from treadle.core.codec import Json, Model, always_encoded
from treadle.core.ids import EntryId, RunId, ThreadId
from treadle.core.limits import Count, Time
from treadle.core.pages import Page
from treadle.core.rows import Table

RunOrigin = Literal["user", "subagent", "ag_ui", "ai_sdk", "a2a", "internal"]
"""Who requested a run: a user, another agent, or a protocol's client."""

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


# --- rules ----------------------------------------------------------------------------------------


def asks_nobody(run: RunRecord) -> bool:
    """Return whether a run says that it asks nothing: it waits for other work, and no answer."""
    metadata = run.metadata if isinstance(run.metadata, dict) else {}
    return metadata.get("asks") is False


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
