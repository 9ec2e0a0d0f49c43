"""Answering a run that waits for a human.

`treadle.Runs.answer` knows how the run gets the answer. If it has paused its mailbox, the thread
gets a message, too; see docs/how-to/wait-for-a-human.md.
"""

from typing import Literal, cast
from urllib.parse import unquote

import msgspec
from starlette.responses import Response

from treadle.core.codec import Json
from treadle.core.messages import Message
from treadle.core.run_queries import LoadRun
from treadle.core.runs import ANSWERED, RunRecord
from treadle.errors import NotFound, RunConflict
from treadle.http._call import Call
from treadle.http._dashboard._rendering import redirect
from treadle.http._dashboard._thread_page import read_thread
from treadle.http._dashboard._waiting import read_waiting
from treadle.http._errors import Refused
from treadle.http._operation import Operation
from treadle.http._owners import OWN_THREAD
from treadle.http._trace_context import trace_headers


class AnswerForm(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody answers."""

    run_id: str
    """The id of the run, percent-encoded: in forms, invisible characters would be lost."""
    decision: Literal["yes", "no"]
    text: str | None = None
    """In words; it is the answer then, and the decision says whether it is an approval."""


async def _answer(call: Call) -> Response:
    form = cast("AnswerForm", call.body)
    run_id = unquote(form.run_id)
    about, run = await read_thread(call, LoadRun(run_id=run_id))
    if run is None or run.thread_id != about.summary.id or not _may_wait(run):
        raise NotFound("run that waits", run_id)
    was_answered = run.status != "waiting" or await _answer_waiting(call, run, form)
    said = "Somebody has answered it already." if was_answered else "The answer was given."
    return redirect(call, "threads", call.ids["thread_id"], said=said)


def _may_wait(run: RunRecord) -> bool:
    """Return False for a run that ended otherwise than by an answer."""
    return run.status != "done" or run.termination_code == ANSWERED


async def _answer_waiting(call: Call, run: RunRecord, form: AnswerForm) -> bool:
    """Answer a run; return whether somebody had done it already."""
    [found] = await read_waiting(call.store, [run])
    if found.way is None:
        reason = "only the agent of this run knows how it gets its answer; send it a message"
        raise Refused(409, "no_question", reason)
    if found.way == "work":
        raise Refused(409, "no_question", "this run waits for other work, and asks nothing")
    if found.way == "resumed":
        return True
    payload: dict[str, Json] = {"approved": form.decision == "yes"}
    if form.text is not None:
        payload["reason"] = form.text
    said = Message(role="user", content=form.text or form.decision)
    try:
        await call.store.runs.answer(
            run.run_id,
            payload,
            message=said if found.way == "pause" else None,
            sender_id=call.principal.id,
            headers=trace_headers(call.request),
        )
    except RunConflict:
        return True
    return False


OPERATIONS = (
    Operation(
        method="POST",
        path="/threads/{thread_id}/answer",
        summary="Answer a run that waits for a human.",
        action="chat",
        owner=OWN_THREAD,
        form=AnswerForm,
        handle=_answer,
    ),
)
