"""AG-UI 1.0: a client requests a run, a worker does it, and its events are streamed."""

from collections.abc import AsyncGenerator
from typing import Any, assert_never, cast

import msgspec
from starlette.responses import Response

from treadle.core.codec import Json, Model, to_plain
from treadle.core.ids import RunId, ThreadId
from treadle.core.live import PartKind
from treadle.http._ag_ui_messages import read_messages, written
from treadle.http._call import Call
from treadle.http._operation import EVENTS, Operation
from treadle.http._owners import OwnerRule
from treadle.http._requested_runs import LIMITED, request, require_own_request
from treadle.http._run_events import (
    Begun,
    Broken,
    Cancelled,
    Failed,
    Finished,
    Interrupted,
    MessagesAre,
    PartBegan,
    PartEnded,
    PartGrew,
    RunEvent,
    StateChanged,
    StateIs,
    ToolAnswered,
)
from treadle.http._run_stream import RunStream, framed_run, stream_of_run
from treadle.http._transcript import text_of
from treadle.worker import Answer, RunRequest

PROTOCOL_VERSION = "1.0"


class ResumeEntry(Model, frozen=True, kw_only=True):
    """The answer to an interrupt."""

    interrupt_id: str = msgspec.field(name="interruptId")
    status: str = "resolved"
    payload: Json = None


class RunAgentInput(Model, frozen=True, kw_only=True):
    """What AG-UI's clients send; see its documentation. Fields that it adds later are ignored."""

    thread_id: ThreadId = msgspec.field(name="threadId")
    run_id: RunId = msgspec.field(name="runId")
    parent_run_id: RunId | None = msgspec.field(default=None, name="parentRunId")
    state: Json = None
    messages: list[Json] = msgspec.field(default_factory=list)
    tools: list[Json] = msgspec.field(default_factory=list)
    context: list[Json] = msgspec.field(default_factory=list)
    forwarded_props: Json = msgspec.field(default=None, name="forwardedProps")
    resume: tuple[ResumeEntry, ...] = ()


async def _own_input(call: Call, own: str) -> Call:
    given = cast("RunAgentInput", call.body)
    run_ids = (given.run_id, given.parent_run_id)
    await require_own_request(call.store, own, given.thread_id, run_ids)
    return call


OWN_INPUT = OwnerRule(
    text="the thread must be yours, or new, and so must the run", apply=_own_input
)


async def _run(call: Call) -> Response:
    given = cast("RunAgentInput", call.body)
    messages = read_messages(given.messages)
    wanted = RunRequest(
        agent_id=call.ids["agent_id"],
        thread_id=given.thread_id,
        run_id=given.run_id,
        parent_run_id=given.parent_run_id,
        origin="ag_ui",
        state=given.state,
        tools=tuple(given.tools),
        context=tuple(given.context),
        forwarded_props=given.forwarded_props,
        resume=tuple(
            Answer(interrupt_id=each.interrupt_id, status=each.status, payload=each.payload)
            for each in given.resume
        ),
    )
    stream = RunStream(call, given.thread_id, given.run_id, (message.id for message in messages))

    async def begin() -> AsyncGenerator[bytes | None]:
        asked = await request(call, wanted, messages)
        is_behind = asked.was_known or asked.is_behind
        events = stream.events(asked.entry_id, asked.version, is_behind=is_behind)
        return framed_run(events, Encoder(wanted).encode)

    return await stream_of_run(call, stream, begin)


class Encoder:
    """Encodes the events of a run as AG-UI has them."""

    def __init__(self, wanted: RunRequest) -> None:
        self._run = {"threadId": wanted.thread_id, "runId": wanted.run_id}
        self._parent = wanted.parent_run_id

    def encode(self, event: RunEvent) -> list[dict[str, Json]]:
        """Return the events of AG-UI that say the same."""
        match event:
            case Begun():
                version = {"protocolVersion": PROTOCOL_VERSION}
                parent = {"parentRunId": self._parent} if self._parent else {}
                return [{"type": "RUN_STARTED", **self._run, **version, **parent}]
            case PartBegan() | PartGrew() | PartEnded():
                return _part(event)
            case ToolAnswered(message):
                return [
                    {
                        "type": "TOOL_CALL_RESULT",
                        "messageId": message.id,
                        "toolCallId": message.tool_call_id or "",
                        "content": text_of(message.content),
                        "role": "tool",
                    }
                ]
            case StateIs() | StateChanged():
                return [_state(event)]
            case MessagesAre(messages):
                return [{"type": "MESSAGES_SNAPSHOT", "messages": [*map(written, messages)]}]
            case Finished(unanswered):
                outcome: dict[str, Any] = {"type": "success"}
                if unanswered:
                    outcome["pendingToolCallIds"] = list(unanswered)
                return [self._finished(outcome)]
            case Interrupted(interrupts):
                plain = [to_plain(interrupt) for interrupt in interrupts]
                return [self._finished({"type": "interrupt", "interrupts": plain})]
            case Cancelled():
                return [self._finished({"type": "cancelled"})]
            case Failed(message, code) | Broken(message, code):
                return [{"type": "RUN_ERROR", "message": message, "code": code}]
            case _:
                assert_never(event)

    def _finished(self, outcome: dict[str, Json]) -> dict[str, Json]:
        return {"type": "RUN_FINISHED", **self._run, "outcome": outcome}


def _state(event: StateIs | StateChanged) -> dict[str, Json]:
    if isinstance(event, StateIs) or any(map(_is_banned, event.edits)):
        return {"type": "STATE_SNAPSHOT", "snapshot": event.state}
    return {"type": "STATE_DELTA", "delta": [*event.edits]}


def _is_banned(edit: dict[str, Json]) -> bool:
    """Return whether clients refuse an edit: theirs is a library that guards JavaScript's objects.

    They log that, and go on with the state that they have.
    """
    segments = str(edit["path"]).split("/")
    return "__proto__" in segments or "prototype" in segments


def _part(event: PartBegan | PartGrew | PartEnded) -> list[dict[str, Json]]:
    kinds: dict[PartKind, str] = {
        "text": "TEXT_MESSAGE",
        "reasoning": "REASONING_MESSAGE",
        "tool_call": "TOOL_CALL",
    }
    kind = kinds[event.part]
    about: dict[str, Json] = {"messageId": event.message_id}
    if event.part == "reasoning":  # the message of it must not have the id of the answer
        about = {"messageId": f"{event.message_id}-reasoning"}
    if event.part == "tool_call":
        about = {"toolCallId": event.call_id}
    match event:
        case PartBegan(message_id, part, role, _, tool_name):
            if part == "tool_call":
                named = {"toolCallName": tool_name, "parentMessageId": message_id}
                return [{"type": f"{kind}_START", **about, **named}]
            if part == "text":
                return [{"type": f"{kind}_START", **about, "role": role}]
            begun = {"type": f"{kind}_START", **about, "role": "reasoning"}
            return [{"type": "REASONING_START", **about}, begun]
        case PartGrew():
            suffix = "ARGS" if event.part == "tool_call" else "CONTENT"
            return [{"type": f"{kind}_{suffix}", **about, "delta": event.delta}]
        case PartEnded():
            ended: list[dict[str, Json]] = [{"type": f"{kind}_END", **about}]
            if event.part == "reasoning":
                ended.append({"type": "REASONING_END", **about})
            return ended
        case _:
            assert_never(event)


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/ag-ui/agents/{agent_id}/runs",
        summary="Run an agent on a thread, for a client of AG-UI 1.0.",
        action="chat",
        owner=OWN_INPUT,
        body=RunAgentInput,
        answers={200: EVENTS},
        handle=_run,
        details=(
            f"{LIMITED} A worker does the run; a client that goes away"
            " cancels nothing, and one that sends the same `runId` again sees the rest of it."
            " 409: no run of the thread waits for one of the answers in `resume`, or another"
            " thread has the run."
        ),
    ),
)
