"""Operations that change what is said in a thread: append, truncate, fork."""

from typing import cast

import msgspec
from msgspec import UNSET, UnsetType
from starlette.responses import Response

from treadle.clock import new_id
from treadle.core.codec import Json
from treadle.core.ids import ThreadId
from treadle.core.limits import Length, Version
from treadle.core.runs import RunRecord
from treadle.core.thread_edits import Truncated, TruncateThread
from treadle.core.thread_summaries import LoadThreadSummary, ThreadSummary
from treadle.core.threads import Committed, ThreadChangeSet
from treadle.errors import NotFound
from treadle.http._call import Call
from treadle.http._handlers import write
from treadle.http._input import Fields
from treadle.http._operation import Operation
from treadle.http._output import answer
from treadle.http._owners import OWN_THREAD, OwnerRule, owned_as, require_free_thread
from treadle.http._responses import in_path
from treadle.http._runs import restrict_run
from treadle.http._threads import Expected


class NewFork(Fields, frozen=True, kw_only=True):
    """A thread to be created from the first messages of another."""

    new: ThreadId | None = None
    """Its id; left out, the server makes one."""
    at: Length | None = None
    """How many messages are copied; all by default."""
    state: Json | UnsetType = UNSET
    """Its state; left out, it is the one that the source had at that position."""
    resource_id: str | UnsetType | None = UNSET
    """Its owner; left out, it is that of the source."""
    expected: Version | None = None
    """Only if the source is at this version."""


async def _restrict_append(call: Call, own: str) -> Call:
    call = await OWN_THREAD.apply(call, own)
    changes = cast("ThreadChangeSet", call.body)
    if changes.run_id:
        meta = changes.run_meta
        run = RunRecord(
            run_id=changes.run_id,
            thread_id=call.ids["thread_id"],
            parent_run_id=changes.parent_run_id,
            parent_thread_id=None if meta is None else meta.parent_thread_id,
            source_mailbox_entry_id=None if meta is None else meta.source_mailbox_entry_id,
        )
        await restrict_run(call, run, own)
    return call


_APPEND = OwnerRule(
    text="the thread must be yours, and so must its run and what that names",
    apply=_restrict_append,
    ids=("thread_id",),
)


async def _append(call: Call) -> Response:
    changes = cast("ThreadChangeSet", call.body)
    if changes.run_id:
        call.require("write_runs")
    expected = cast("Expected", call.query).expected
    thread_id = call.ids["thread_id"]
    async with call.store.batch() as step:
        if changes.run_id:
            step.runs.check(changes.run_id, thread_id=thread_id)
        appended = step.threads.append(thread_id, changes, expected=expected)
    return answer(call, appended.result)


async def _restrict_fork(call: Call, own: str) -> Call:
    call = await OWN_THREAD.apply(call, own)
    body = cast("NewFork", call.body)
    if body.resource_id is not UNSET:
        owned_as(own, body.resource_id)
    if body.new is not None:
        await require_free_thread(call.store, body.new)
    body = msgspec.structs.replace(body, resource_id=own)
    return msgspec.structs.replace(call, body=body)


_FORK = OwnerRule(
    text="the thread must be yours, and so will be the new one",
    apply=_restrict_fork,
    ids=("thread_id",),
)


async def _fork(call: Call) -> Response:
    body = cast("NewFork", call.body)
    new = new_id() if body.new is None else body.new
    await call.store.threads.fork(
        call.ids["thread_id"],
        new,
        at=body.at,
        state=body.state,
        resource_id=body.resource_id,
        expected=body.expected,
    )
    (summary,) = await call.store.read(LoadThreadSummary(thread_id=new))
    if summary is None:
        raise NotFound("thread", new)
    return answer(call, summary, 201, {"location": in_path(new)})


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/threads/{thread_id}/changes",
        summary="Append messages, patches or a snapshot to a thread, and update its run.",
        action="append",
        owner=_APPEND,
        query=Expected,
        body=ThreadChangeSet,
        answers={200: Committed},
        handle=_append,
        details="A `run_id` needs the right to `write_runs`. 409: another thread has the run.",
    ),
    Operation(
        method="POST",
        path="/v1/threads/{thread_id}/truncate",
        summary="Take back the last messages of a thread.",
        action="append",
        owner=OWN_THREAD,
        body=TruncateThread,
        answers={200: Truncated},
        handle=write,
    ),
    Operation(
        method="POST",
        path="/v1/threads/{thread_id}/fork",
        summary="Create a thread from the first messages of another one.",
        action="append",
        owner=_FORK,
        body=NewFork,
        body_is_optional=True,
        answers={201: ThreadSummary},
        handle=_fork,
        details="`Location` has the id of the new thread.",
    ),
)
