"""Answering a run that waits for a human.

A run has paused its mailbox: the answer is a message of the user whose id is that of the run with
`-answer`, and the mailbox is resumed in the same commit; see docs/how-to/wait-for-a-human.md.
Otherwise a run has ended with interrupts, as `treadle.worker.Turn` has it: the answer is a request
for another run that brings it, as AG-UI's clients send it.
"""

from typing import Literal, cast
from urllib.parse import unquote

import msgspec
from starlette.responses import Response

from treadle.clock import new_id
from treadle.core.codec import Json
from treadle.core.messages import Message
from treadle.core.run_queries import LoadRun
from treadle.core.runs import RunRecord
from treadle.errors import NotFound
from treadle.http._answering import NOT_WAITING, interrupts_of
from treadle.http._call import Call
from treadle.http._dashboard._rendering import redirect
from treadle.http._dashboard._thread_page import read_thread
from treadle.http._dashboard._waiting import read_waiting
from treadle.http._errors import Refused
from treadle.http._operation import Operation
from treadle.http._owners import OWN_THREAD
from treadle.http._requested_runs import request
from treadle.worker import Answer, RunRequest


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
    if run is None or run.thread_id != about.head.id or run.status != "waiting":
        raise NotFound("run that waits", run_id)
    [found] = await read_waiting(call.store, [run])
    way = found.way
    if way is None:
        reason = "only the agent of this run knows how it gets its answer; send it a message"
        raise Refused(409, "no_question", reason)
    if way == "resumed":
        was_answered = True
    elif way == "pause":
        call.require("pause")
        was_answered = await _answer_paused(call, run, form)
    else:
        call.require("send")
        was_answered = await _answer_by_request(call, run, form)
    said = "Somebody had answered it already." if was_answered else "The answer was given."
    return redirect(call, "threads", call.ids["thread_id"], said=said)


async def _answer_paused(call: Call, run: RunRecord, form: AnswerForm) -> bool:
    message = Message.user(form.text or form.decision, id=f"{run.run_id}-answer")
    async with call.store.batch() as step:
        written = step.threads.append(run.thread_id, message)
        step.mailboxes.resume(run.thread_id)
    return bool(written.result.skipped)


async def _answer_by_request(call: Call, run: RunRecord, form: AnswerForm) -> bool:
    payload: dict[str, Json] = {"approved": form.decision == "yes"}
    if form.text is not None:
        payload["reason"] = form.text
    wanted = RunRequest(
        agent_id=run.agent_id,
        thread_id=run.thread_id,
        run_id=new_id(),
        parent_run_id=run.run_id,
        resume=tuple(
            Answer(interrupt_id=each["id"], payload=payload) for each in interrupts_of(run)
        ),
    )
    try:
        requested = await request(call, wanted, (), f"answer:{run.run_id}")
    except Refused as refusal:
        if refusal.code != NOT_WAITING:
            raise
        return True
    return requested.was_known


OPERATIONS = (
    Operation(
        method="POST",
        path="/threads/{thread_id}/answer",
        summary="Answer a run that waits for a human.",
        action="append",
        owner=OWN_THREAD,
        form=AnswerForm,
        handle=_answer,
        details="It also needs the right to `pause` or to `send`, by how the run waits.",
    ),
)
