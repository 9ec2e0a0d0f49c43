"""Runs that clients request, each for its owner."""

from collections.abc import Sequence

import msgspec

from treadle.core.messages import Message
from treadle.core.run_requests import RequestedRun, RunRequest
from treadle.core.thread_summaries import LoadThreadSummary
from treadle.errors import InvalidValue, NotFound
from treadle.http._call import Call
from treadle.http._errors import Refused
from treadle.http._owners import require_free_run, require_free_thread
from treadle.http._trace_context import trace_headers
from treadle.store.store import Store

LIMITED = (
    "Without the rights to `append` and `send`, only what a user says is taken: texts and files of"
    " their new messages."
)
"""What the reference says of those who may `chat` only."""


async def require_own_request(
    store: Store, own: str, thread_id: str, run_ids: Sequence[str | None]
) -> None:
    """Refuse a run on the thread of another, or with the id of another's run.

    Raises:
        NotFound: the thread or a run is another's.
        AlreadyExists: the thread is new, and something else has its id.
    """
    (summary,) = await store.read(LoadThreadSummary(thread_id=thread_id))
    if summary is None:
        await require_free_thread(store, thread_id)
    elif summary.resource_id != own:
        raise NotFound("thread", thread_id)
    for run_id in run_ids:
        if run_id is not None:
            await require_free_run(store, run_id, own)


async def request(
    call: Call,
    wanted: RunRequest,
    messages: Sequence[Message],
    *,
    removes_rest: bool = False,
    repeats_answers: bool = False,
) -> RequestedRun:
    """Request a run, as `treadle.Runs.request`, for the principal.

    From those who may not `append` and `send`, only what a user says is taken.

    Raises:
        Refused: the principal may not remove what was said.
        InvalidId: an id cannot be one.
        InvalidValue: the thread has another owner than the request says.
        NotFound: the thread is another's, which has just created it.
        AlreadyExists: another thread has the run.
        NotWaiting: no run of the thread waits for one of the answers.
    """
    own, only_user = call.principal.own, not (call.can("append") and call.can("send"))
    if only_user and removes_rest:
        reason = f"{call.principal.id} may not append, and so not have an answer written again"
        raise Refused(403, "forbidden", reason)
    if own is not None:
        if wanted.resource_id not in (None, own):
            raise _another_owner()
        wanted = msgspec.structs.replace(wanted, resource_id=own)
    try:
        return await call.store.runs.request(
            wanted,
            *messages,
            removes_rest=removes_rest,
            repeats_answers=repeats_answers,
            only_user=only_user,
            sender_id=call.principal.id,
            headers=trace_headers(call.request),
        )
    except InvalidValue as error:
        if error.where != "request.resource_id":
            raise
        if own is not None:
            raise NotFound("thread", wanted.thread_id) from None
        raise _another_owner() from None


def _another_owner() -> InvalidValue:
    return InvalidValue("body.resourceId", "the thread has another owner; leave it out")
