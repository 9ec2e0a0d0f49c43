"""Requesting a run of an agent, and sending work, from the page of a thread's conversation."""

from typing import cast
from urllib.parse import unquote

import msgspec
from starlette.responses import Response

from treadle.clock import new_id
from treadle.core.codec import Json, check_json
from treadle.core.ids import RunId
from treadle.core.mailbox_queries import FoundEntries
from treadle.core.messages import Message
from treadle.core.run_queries import FoundRuns
from treadle.core.run_requests import RunRequest, request_in
from treadle.core.thread_summaries import LoadThreadSummary
from treadle.errors import InvalidValue, NotFound
from treadle.http._call import Call
from treadle.http._dashboard._rendering import redirect
from treadle.http._operation import Operation
from treadle.http._owners import OWN_THREAD, require_free_run
from treadle.http._requested_runs import request


class SendForm(msgspec.Struct, frozen=True, kw_only=True):
    """Work for the agent."""

    text: str
    key: str | None = None
    """The same for the same form: it is sent once."""


class AskForm(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the user, and the agent that is to answer it."""

    text: str
    agent: str | None = None
    """The agent, as it was typed."""
    known_agent: str | None = None
    """The agent of the thread, percent-encoded: in forms, invisible characters would be lost."""
    key: RunId | None = None
    """The id of the run, made with the form: sent twice, it asks once."""


async def _ask(call: Call) -> Response:
    thread_id, form, own = call.ids["thread_id"], cast("AskForm", call.body), call.principal.own
    agent = unquote(form.known_agent) if form.known_agent is not None else form.agent
    run_id = form.key or new_id()
    if own is not None:
        await require_free_run(call.store, run_id, own)
    (summary,) = await call.store.read(LoadThreadSummary(thread_id=thread_id))
    if summary is None:
        raise NotFound("thread", thread_id)
    if agent is None or not agent.strip():
        raise InvalidValue("agent", "say which agent is to answer")
    wanted = RunRequest(agent_id=agent, thread_id=thread_id, run_id=run_id)
    asked = await request(call, wanted, [Message.user(form.text.replace("\r\n", "\n"), id=run_id)])
    said = "It was sent already." if asked.was_known else "It was sent: a worker will get it."
    return redirect(call, "threads", thread_id, said=said)


def agent_in(entries: FoundEntries, runs: FoundRuns) -> str | None:
    """Return the agent of which the thread requests runs; None if that is not known.

    A handler that takes payloads of its own does not expect a request for a run, and one with
    `treadle.worker.Turn` expects nothing else.

    Args:
        entries: the last entries of the mailbox, the newest first.
        runs: the last run of the thread; the entry of a requested one, which has its id, may be
            gone.
    """
    for entry in entries.items:
        request = request_in(entry)
        if request is not None:
            return request.agent_id
    return next(
        (run.agent_id for run in runs.items if run.source_mailbox_entry_id == run.run_id), None
    )


async def _send(call: Call) -> Response:
    thread_id, form = call.ids["thread_id"], cast("SendForm", call.body)
    sent = await call.store.mailboxes.send(
        thread_id,
        payload_of(form.text),
        sender_id=call.principal.id,
        dedupe_key=None if form.key is None else f"dashboard:{form.key}",
    )
    said = "It was sent already." if sent.was_known else "It was sent: a worker will get it."
    return redirect(call, "threads", thread_id, said=said)


def payload_of(text: str) -> Json:
    """Return the payload that a text means: an object of JSON, or else a text in one.

    Raises:
        InvalidValue: it is an object of JSON that the store does not keep.
    """
    text = text.replace("\r\n", "\n")
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        return {"text": text}
    check_json(value, "text")
    return value


OPERATIONS = (
    Operation(
        method="POST",
        path="/threads/{thread_id}/ask",
        summary="Request a run of an agent with a message of the user.",
        action="chat",
        owner=OWN_THREAD,
        form=AskForm,
        handle=_ask,
    ),
    Operation(
        method="POST",
        path="/threads/{thread_id}/send",
        summary="Send work to the mailbox of a thread.",
        action="send",
        owner=OWN_THREAD,
        form=SendForm,
        handle=_send,
    ),
)
