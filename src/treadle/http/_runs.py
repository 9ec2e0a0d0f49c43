"""Operations on runs: list, count, load, write, cancel, and the tokens they have used."""

from typing import Literal, cast

import msgspec
from starlette.responses import Response

from treadle.core.codec import Model, always_encoded
from treadle.core.ids import RunId, ThreadId
from treadle.core.limits import Bound
from treadle.core.mailbox_commands import Cancel
from treadle.core.mailbox_queries import LoadEntry
from treadle.core.mailboxes import is_terminal
from treadle.core.run_commands import DeleteRun, EndWait
from treadle.core.run_queries import (
    CountRuns,
    FindActiveRun,
    FoundRuns,
    LoadRun,
    RunStats,
    SearchRuns,
)
from treadle.core.run_waits import requests_run
from treadle.core.runs import RunOrigin, RunPage, RunRecord, RunStatus, is_active
from treadle.core.usage import SumUsage, UsageReport
from treadle.errors import InvalidValue, NotFound, RunConflict
from treadle.http._call import Call
from treadle.http._errors import Refused
from treadle.http._handlers import ask, commit
from treadle.http._operation import Operation
from treadle.http._output import answer
from treadle.http._owners import (
    FILTERED,
    OWN_RUN,
    OWN_THREAD,
    OwnerRule,
    require_free_run,
    require_own_entry,
    require_own_run,
    require_own_thread,
)
from treadle.http._responses import no_content

NOT_BEGUN = "run_not_begun"
"""The code of the answer about a run that was requested, and has no record yet."""
_ORIGINS: dict[str, RunOrigin] = {
    "user": "user",
    "subagent": "subagent",
    "ag_ui": "ag_ui",
    "ag-ui": "ag_ui",
    "agui": "ag_ui",
    "ai_sdk": "ai_sdk",
    "ai-sdk": "ai_sdk",
    "aisdk": "ai_sdk",
    "a2a": "a2a",
    "internal": "internal",
}


class RunsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs are listed, as tirea has it. Times are unix ms, and inclusive."""

    offset: Bound = 0
    limit: Bound = 50
    """How many at most, clamped to 1..200."""
    thread_id: ThreadId | None = None
    parent_run_id: RunId | None = None
    status: RunStatus | None = None
    code: str | None = msgspec.field(default=None, name="terminationCode")
    """The same as `termination_code`, as tirea calls it, too."""
    termination_code: str | None = None
    origin: (
        Literal[
            "user",
            "subagent",
            "ag_ui",
            "ag-ui",
            "agui",
            "ai_sdk",
            "ai-sdk",
            "aisdk",
            "a2a",
            "internal",
        ]
        | None
    ) = None
    created_at_from: Bound | None = None
    created_at_to: Bound | None = None
    updated_at_from: Bound | None = None
    updated_at_to: Bound | None = None


class ActiveRun(Model, frozen=True, kw_only=True):
    """The newest run of a thread that is not done; null if there is none."""

    active_run: RunRecord | None = always_encoded(None)


class CancelRequested(Model, frozen=True, kw_only=True):
    """A run was cancelled."""

    status: Literal["cancel_requested"] = always_encoded("cancel_requested")
    run_id: str


async def _restrict_list(call: Call, own: str) -> Call:
    thread_id = cast("RunsQuery", call.query).thread_id
    if thread_id is None:
        reason = "name a thread of yours in thread_id, or use /v1/search/runs"
        raise Refused(403, "forbidden", reason)
    await require_own_thread(call.store, thread_id, own)
    return call


_ONE_THREAD = OwnerRule(text="thread_id must name a thread of yours", apply=_restrict_list)


async def _list(call: Call) -> Response:
    query = cast("RunsQuery", call.query)
    if query.code is not None and query.termination_code is not None:
        raise InvalidValue("termination_code", "it comes twice: terminationCode is the same")
    code = query.code if query.termination_code is None else query.termination_code
    page = await call.store.runs.list(
        offset=query.offset,
        limit=query.limit,
        thread_id=query.thread_id,
        parent_run_id=query.parent_run_id,
        status=query.status,
        origin=None if query.origin is None else _ORIGINS[query.origin],
        termination_code=None if code is None else code.strip().lower(),
        created_at_from=query.created_at_from,
        created_at_to=query.created_at_to,
        updated_at_from=query.updated_at_from,
        updated_at_to=query.updated_at_to,
    )
    return answer(call, page)


async def _find_active(call: Call) -> Response:
    (run,) = await call.store.read(call.query)
    return answer(call, ActiveRun(active_run=run))


# --- writing --------------------------------------------------------------------------------------


async def restrict_run(call: Call, run: RunRecord, own: str) -> None:
    """Refuse a record that takes a run of another owner, or names what is another's.

    Raises:
        NotFound: it does.
    """
    store = call.store
    await require_free_run(store, run.run_id, own)
    await require_own_thread(store, run.thread_id, own)
    if run.parent_run_id is not None:
        await require_own_run(store, run.parent_run_id, own)
    if run.parent_thread_id is not None:
        await require_own_thread(store, run.parent_thread_id, own)
    if run.source_mailbox_entry_id is not None:
        await require_own_entry(store, run.source_mailbox_entry_id, own)


async def _restrict_record(call: Call, own: str) -> Call:
    await restrict_run(call, cast("RunRecord", call.body), own)
    return call


_NEW_RUN = OwnerRule(
    text="the run's thread, and what else it names, must be yours",
    apply=_restrict_record,
    ids=("run_id",),
)


async def _put(call: Call) -> Response:
    body = cast("RunRecord", call.body)
    async with call.store.batch() as step:
        step.runs.check(body.run_id, thread_id=body.thread_id)
        step.runs.upsert(body)
    run = await call.store.runs.load(call.ids["run_id"])
    if run is None:
        raise NotFound("run", call.ids["run_id"])
    return answer(call, run)


async def _delete(call: Call) -> Response:
    await commit(call, DeleteRun(run_id=call.ids["run_id"]))
    return no_content()


async def _restrict_run_or_entry(call: Call, own: str) -> Call:
    """The id may be that of a run or of an entry, as in tirea."""
    run_id = call.ids["run_id"]
    (run,) = await call.store.read(LoadRun(run_id=run_id))
    # As `cancel_run`: an entry with the id of another's run must not open that run.
    require = require_own_entry if run is None else require_own_run
    try:
        await require(call.store, run_id, own)
    except NotFound:
        raise NotFound("run", run_id) from None
    return call


RUN_OR_ENTRY = OwnerRule(
    text="the run or the entry must be yours", apply=_restrict_run_or_entry, ids=("run_id",)
)


async def load_run(call: Call, run_id: str) -> RunRecord:
    """Return the record of a run.

    Raises:
        NotFound: there is none.
        Refused: nor is there one yet, because no worker has begun what was requested.
    """
    run, entry = await call.store.read(LoadRun(run_id=run_id), LoadEntry(entry_id=run_id))
    if run is not None:
        return run
    if entry is None or not requests_run(entry):
        raise NotFound("run", run_id)
    reason = f"run {run_id!r} has no record, as no worker has begun it; its entry is {entry.status}"
    raise Refused(404, NOT_BEGUN, f"{reason}; load the entry, which has the same id")


async def _load(call: Call) -> Response:
    return answer(call, await load_run(call, call.ids["run_id"]))


async def cancel_run(call: Call, run_id: str) -> None:
    """Cancel the entry that a run works on; it closes the run in the same commit.

    A run that waits is closed even if its entry has ended, or if it names none. The id may be that
    of the entry, as in tirea.

    Raises:
        NotFound: there is neither, or the entry is another's.
        Refused: the run is not active, or it is running and no entry is known for it.
    """
    run, entry = await call.store.read(LoadRun(run_id=run_id), LoadEntry(entry_id=run_id))
    if run is None:
        if entry is None:
            raise NotFound("run", run_id)
        await _cancel_entry(call, run_id)
        return
    try:
        await _cancel_known(call, run)
    except Refused:
        # Its entry may have been accepted since it was read, while the run waits.
        (run,) = await call.store.read(LoadRun(run_id=run_id))
        if run is None or run.status != "waiting":
            raise
        await _cancel_known(call, run)


async def _cancel_known(call: Call, run: RunRecord) -> None:
    run_id = run.run_id
    if not is_active(run):
        raise _not_active()
    entry_id = run.source_mailbox_entry_id
    if run.status == "waiting" and await _is_over(call, entry_id):
        await _end_wait(call, run_id)
    elif entry_id is None:
        reason = "no entry of a mailbox is known for this run, so nobody can be asked to stop it"
        raise Refused(409, "run_without_entry", reason)
    else:
        await _cancel_entry(call, entry_id)


async def _is_over(call: Call, entry_id: str | None) -> bool:
    entry = None if entry_id is None else await call.store.mailboxes.load_entry(entry_id)
    return entry is None or is_terminal(entry)


async def _end_wait(call: Call, run_id: str) -> None:
    try:
        await commit(call, EndWait(run_id=run_id, termination_code="cancelled"))
    except RunConflict:  # somebody has just answered it
        raise _not_active() from None


async def _cancel_entry(call: Call, entry_id: str) -> None:
    own = call.principal.own
    if own is not None:  # any program may have written the run
        await require_own_entry(call.store, entry_id, own)
    cancelled = await commit(call, Cancel(entry_id=entry_id))
    if cancelled is None or cancelled.status != "cancelled":
        raise _not_active()


def _not_active() -> Refused:
    return Refused(400, "run_not_active", "run is not active")


async def _cancel(call: Call) -> Response:
    run_id = call.ids["run_id"]
    await cancel_run(call, run_id)
    return answer(call, CancelRequested(run_id=run_id), 202)


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/runs",
        summary="List runs, oldest first.",
        action="read",
        owner=_ONE_THREAD,
        query=RunsQuery,
        answers={200: RunPage},
        handle=_list,
    ),
    Operation(
        method="GET",
        path="/v1/search/runs",
        summary="List runs, newest first, in pages by a cursor.",
        action="read",
        owner=FILTERED,
        query=SearchRuns,
        answers={200: FoundRuns},
        handle=ask,
    ),
    Operation(
        method="GET",
        path="/v1/stats/runs",
        summary="Count the runs in each status.",
        action="read",
        owner=FILTERED,
        query=CountRuns,
        answers={200: RunStats},
        handle=ask,
    ),
    Operation(
        method="GET",
        path="/v1/usage",
        summary="Sum the tokens of runs by thread, owner, agent or day.",
        action="read",
        owner=FILTERED,
        query=SumUsage,
        answers={200: UsageReport},
        handle=ask,
    ),
    Operation(
        method="GET",
        path="/v1/threads/{thread_id}/runs/active",
        summary="Find the newest run of a thread that is not done.",
        action="read",
        owner=OWN_THREAD,
        query=FindActiveRun,
        answers={200: ActiveRun},
        handle=_find_active,
    ),
    Operation(
        method="GET",
        path="/v1/runs/{run_id}",
        summary="Load a run.",
        action="read",
        owner=RUN_OR_ENTRY,
        answers={200: RunRecord},
        handle=_load,
        details=(
            "404 with the code `run_not_begun`: it was requested, and no worker has begun it. The"
            " entry with the request has the same id, and says why it waits."
        ),
    ),
    Operation(
        method="PUT",
        path="/v1/runs/{run_id}",
        summary="Insert or replace the record of a run.",
        action="write_runs",
        owner=_NEW_RUN,
        body=RunRecord,
        answers={200: RunRecord},
        handle=_put,
        details="Times that are 0 or left out are set. 409: another thread has the run.",
    ),
    Operation(
        method="DELETE",
        path="/v1/runs/{run_id}",
        summary="Delete the record of a run.",
        action="delete",
        owner=OWN_RUN,
        handle=_delete,
        details="204 even if it did not exist; but 404 for a principal with an owner.",
    ),
    Operation(
        method="POST",
        path="/v1/runs/{run_id}/cancel",
        summary="Cancel a run, by its id or by that of the entry it works on.",
        action="cancel",
        owner=RUN_OR_ENTRY,
        answers={202: CancelRequested},
        handle=_cancel,
        details=(
            "It cancels the entry, which closes the run in the same commit and takes the claim "
            "from its worker. A run that waits for an answer is closed even if its entry has "
            "ended. 400: it is over already. 409: the run does not say which entry."
        ),
    ),
)
