"""Runs: the record of each execution of an agent, and how a change set updates it."""

from typing import Literal

import msgspec

from treadle.core.codec import Json, Model, written
from treadle.core.limits import Count, Time
from treadle.core.pages import Page, PageQuery

RunOrigin = Literal["user", "subagent", "ag_ui", "ai_sdk", "a2a", "internal"]
"""Who asked for a run: a user, another agent, or a protocol's client."""

RunStatus = Literal["running", "waiting", "done"]
"""How far a run is; one that is not done is active."""


class RunMeta(Model, frozen=True, kw_only=True):
    """What an append tells about the run it belongs to; the fields are those of `RunRecord`.

    Each takes the place of the one before as a whole: give all that is known so far, and totals of
    tokens.
    """

    agent_id: str = written("")
    origin: RunOrigin = written("user")
    status: RunStatus = written("running")
    parent_thread_id: str | None = None
    termination_code: str | None = None
    termination_detail: str | None = None
    source_mailbox_entry_id: str | None = None
    input_tokens: Count = written(0)
    output_tokens: Count = written(0)


class RunRecord(Model, frozen=True, kw_only=True):
    """One execution of an agent on a thread; times are unix milliseconds.

    Appends set `parent_run_id`, `parent_thread_id` and `source_mailbox_entry_id` once; what else
    they tell, they change each time.
    """

    run_id: str
    thread_id: str
    agent_id: str = written("")
    parent_run_id: str | None = None
    """The run that started it."""
    parent_thread_id: str | None = None
    origin: RunOrigin = written("user")
    status: RunStatus = written("running")
    termination_code: str | None = None
    """Why it ended, in a word of your own that `Runs.list` can ask for."""
    termination_detail: str | None = None
    created_at: Time = written(0)
    updated_at: Time = written(0)
    source_mailbox_entry_id: str | None = None
    """The entry that it works on."""
    metadata: Json | None = None
    input_tokens: Count = written(0)
    output_tokens: Count = written(0)


class RunQuery(PageQuery, frozen=True, kw_only=True):
    """Which runs to list, oldest first; bounds of times are inclusive."""

    thread_id: str | None = None
    parent_run_id: str | None = None
    status: RunStatus | None = None
    origin: RunOrigin | None = None
    termination_code: str | None = None
    created_at_from: int | None = None
    created_at_to: int | None = None
    updated_at_from: int | None = None
    updated_at_to: int | None = None


class RunPage(Page[RunRecord], frozen=True, kw_only=True):
    """A page of runs; `total` counts all that match."""


def run_after(
    before: RunRecord | None,
    run_id: str,
    thread_id: str,
    parent_run_id: str | None,
    meta: RunMeta | None,
    now: int,
) -> RunRecord | None:
    """The run's record after an append, or None if there is nothing to record.

    The first writer wins for `parent_run_id`, `parent_thread_id` and `source_mailbox_entry_id`.
    """
    if not run_id:
        return None
    if meta is None:
        return None if before is None else msgspec.structs.replace(before, updated_at=now)
    first = before or RunRecord(run_id=run_id, thread_id=thread_id, created_at=now)
    return msgspec.structs.replace(
        first,
        thread_id=thread_id,
        agent_id=meta.agent_id,
        parent_run_id=_first(first.parent_run_id, parent_run_id),
        parent_thread_id=_first(first.parent_thread_id, meta.parent_thread_id),
        origin=meta.origin,
        status=meta.status,
        termination_code=meta.termination_code,
        termination_detail=meta.termination_detail,
        updated_at=now,
        source_mailbox_entry_id=_first(first.source_mailbox_entry_id, meta.source_mailbox_entry_id),
        input_tokens=meta.input_tokens,
        output_tokens=meta.output_tokens,
    )


def run_order(run: RunRecord) -> tuple[int, str]:
    """The order of listings: oldest first, then by id."""
    return run.created_at, run.run_id


def run_matches(run: RunRecord, query: RunQuery) -> bool:
    """Whether `query` asks for `run`."""
    return (
        (query.thread_id is None or run.thread_id == query.thread_id)
        and (query.parent_run_id is None or run.parent_run_id == query.parent_run_id)
        and (query.status is None or run.status == query.status)
        and (query.origin is None or run.origin == query.origin)
        and (query.termination_code is None or run.termination_code == query.termination_code)
        and (query.created_at_from is None or run.created_at >= query.created_at_from)
        and (query.created_at_to is None or run.created_at <= query.created_at_to)
        and (query.updated_at_from is None or run.updated_at >= query.updated_at_from)
        and (query.updated_at_to is None or run.updated_at <= query.updated_at_to)
    )


def _first(earlier: str | None, later: str | None) -> str | None:
    return later if earlier is None else earlier
