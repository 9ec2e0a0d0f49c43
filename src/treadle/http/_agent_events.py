"""tirea's stream of a run: the third form of the events of a run."""

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeAlias, assert_never, cast

import msgspec
from starlette.responses import Response

from treadle.clock import new_id, system_clock
from treadle.core.codec import Json, to_plain
from treadle.core.ids import RunId, ThreadId
from treadle.core.messages import Message
from treadle.core.run_messages import named
from treadle.http._call import Call
from treadle.http._messages import visible
from treadle.http._operation import EVENTS, Operation
from treadle.http._owners import OwnerRule, owned_as, require_free_run, require_own_thread
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
from treadle.http._run_fields import Decision, RunFields, answers_of, require_agent
from treadle.http._run_stream import RunStream, framed_run, stream_of_run
from treadle.http._transcript import output_of, text_of
from treadle.worker import Interrupt, RunRequest


class NewRun(RunFields, frozen=True, kw_only=True):
    """A run to be done, as tirea has it."""

    agent_id: str = msgspec.field(name="agentId")
    thread_id: ThreadId | None = msgspec.field(default=None, name="threadId")
    """Left out, the server makes one, for a new thread."""
    run_id: RunId | None = msgspec.field(default=None, name="runId")
    """Left out, the server makes one."""
    parent_run_id: RunId | None = msgspec.field(default=None, name="parentRunId")
    parent_thread_id: ThreadId | None = msgspec.field(default=None, name="parentThreadId")
    """The parent of a new thread."""
    resource_id: str | None = msgspec.field(default=None, name="resourceId")
    """The owner of a new thread; for a principal that has one, it is theirs."""
    state: Json = None
    """For the agent."""
    messages: tuple[Message, ...] = ()
    """What is said; the thread has what was said before."""
    decisions: tuple[Decision, ...] = msgspec.field(default=(), name="initialDecisions")
    """The answers to what an earlier run waits for."""

    other_names: ClassVar[Mapping[str, str]] = {
        "agent_id": "agentId",
        "thread_id": "threadId",
        "contextId": "threadId",
        "context_id": "threadId",
        "run_id": "runId",
        "taskId": "runId",
        "task_id": "runId",
        "parent_run_id": "parentRunId",
        "parent_thread_id": "parentThreadId",
        "parentContextId": "parentThreadId",
        "parent_context_id": "parentThreadId",
        "resource_id": "resourceId",
        "initial_decisions": "initialDecisions",
        "decisions": "initialDecisions",
    }


async def _restrict(call: Call, own: str) -> Call:
    body = cast("NewRun", call.body)
    owned_as(own, body.resource_id)
    if body.parent_thread_id is not None:
        await require_own_thread(call.store, body.parent_thread_id, own)
    run_ids = [each for each in (body.run_id, body.parent_run_id) if each is not None]
    if body.thread_id is not None:
        await require_own_request(call.store, own, body.thread_id, run_ids)
    else:
        for run_id in run_ids:
            await require_free_run(call.store, run_id, own)
    return call


_NEW_RUN = OwnerRule(
    text="the thread must be yours, or new, and so must the run; the parents must be yours",
    apply=_restrict,
)


async def _start(call: Call) -> Response:
    body = cast("NewRun", call.body)
    wanted = RunRequest(
        agent_id=require_agent(body.agent_id),
        thread_id=body.thread_id or new_id(),
        run_id=body.run_id or new_id(),
        parent_run_id=body.parent_run_id,
        parent_thread_id=body.parent_thread_id,
        resource_id=body.resource_id,
        state=body.state,
        resume=answers_of(body.decisions),
    )
    messages = named(body.messages, wanted.run_id)
    known = (message.id for message in messages)
    stream = RunStream(call, wanted.thread_id, wanted.run_id, known)

    async def begin() -> AsyncGenerator[bytes | None]:
        asked = await request(call, wanted, messages)
        return framed_run(stream.of_request(asked), Encoder(wanted).encode)

    return await stream_of_run(call, stream, begin)


_Named: TypeAlias = tuple[str, dict[str, Json]]
"""The type of an event, and its data."""


class Encoder:
    """Encodes the events of a run as tirea's `AgentEvent`.

    Each message of the agent is a step.
    """

    def __init__(self, wanted: RunRequest) -> None:
        self._wanted = wanted
        self._count = 0
        """How many events there were."""
        self._step: str | None = None
        """The message that is a step now."""
        self._steps = 0
        """How many steps have ended."""
        self._of_others: set[str] = set()
        """Messages that are not the agent's."""
        self._tools: dict[str, str] = {}
        """The names of tools by their calls."""
        self._text = ""
        """What the agent has said last."""

    def encode(self, event: RunEvent) -> list[dict[str, Json]]:
        """Return the events of tirea that say the same."""
        if isinstance(event, Broken):  # not an event of the run: it has no envelope
            return [{"type": "error", "message": event.message, "code": "RELAY_ERROR"}]
        return [self._in_envelope(*each) for each in self._encoded(event)]

    def _in_envelope(self, kind: str, data: dict[str, Json]) -> dict[str, Json]:
        event: dict[str, Json] = {
            "type": kind,
            "run_id": self._wanted.run_id,
            "thread_id": self._wanted.thread_id,
            "seq": self._count,
            "timestamp_ms": system_clock(),
        }
        self._count += 1
        if self._step is not None:
            event["step_id"] = f"step:{self._steps}"
        return {**event, "data": data} if data else event

    def _encoded(self, event: RunEvent) -> Iterator[_Named]:
        match event:
            case Begun():
                parent = self._wanted.parent_run_id
                yield "run_start", {"parent_run_id": parent} if parent else {}
            case PartBegan() | PartGrew() | PartEnded():
                yield from self._part(event)
            case ToolAnswered(message):
                yield from self._end_of_step()
                yield "tool_call_done", self._result(message)
            case StateIs(state):
                yield "state_snapshot", {"snapshot": state}
            case StateChanged(_, edits):
                yield "state_delta", {"delta": [*edits]}
            case MessagesAre(messages):
                shown = visible(messages, internal=False)
                self._text = _last_text(shown)
                yield "messages_snapshot", {"messages": [to_plain(each) for each in shown]}
            case Finished() | Interrupted() | Cancelled() | Failed() | Broken():
                yield from self._end_of_step()
                yield from self._end(event)
            case _:
                assert_never(event)

    def _part(self, event: PartBegan | PartGrew | PartEnded) -> Iterator[_Named]:
        if isinstance(event, PartBegan) and event.role != "assistant":
            self._of_others.add(event.message_id)
        if event.message_id in self._of_others:
            return
        match event:
            case PartBegan(message_id, part, _, call_id, tool_name):
                yield from self._begin_step(message_id)
                if part == "text":
                    self._text = ""
                elif part == "tool_call":
                    self._tools[call_id] = tool_name
                    yield "tool_call_start", {"id": call_id, "name": tool_name}
            case PartGrew():
                yield self._grown(event)
            case PartEnded(_, part, call_id, tool_name, arguments, is_complete):
                if part == "tool_call" and is_complete:
                    call = {"id": call_id, "name": tool_name, "arguments": arguments}
                    yield "tool_call_ready", call
            case _:
                assert_never(event)

    def _grown(self, event: PartGrew) -> _Named:
        match event.part:
            case "text":
                self._text += event.delta
                return "text_delta", {"delta": event.delta}
            case "reasoning":
                return "reasoning_delta", {"delta": event.delta}
            case "tool_call":
                return "tool_call_delta", {"id": event.call_id, "args_delta": event.delta}
            case _:
                assert_never(event.part)

    def _begin_step(self, message_id: str) -> Iterator[_Named]:
        if message_id != self._step:
            yield from self._end_of_step()
            self._step = message_id
            yield "step_start", {"message_id": message_id}

    def _end_of_step(self) -> Iterator[_Named]:
        if self._step is not None:
            yield "step_end", {}
            self._step = None
            self._steps += 1

    def _result(self, message: Message) -> dict[str, Json]:
        call_id = message.tool_call_id or ""
        result = {
            "tool_name": self._tools.get(call_id, ""),
            "status": "success",
            "data": output_of(message),
            "message": None,
            "metadata": {},
        }
        about: dict[str, Json] = {"id": call_id, "result": result}
        return {**about, "message_id": message.id or "", "outcome": "succeeded"}

    def _end(self, event: Finished | Interrupted | Cancelled | Failed | Broken) -> Iterator[_Named]:
        match event:
            case Finished(()):
                said: dict[str, Json] = {"result": {"response": self._text}} if self._text else {}
                yield "run_finish", {**said, "termination": {"type": "natural_end"}}
            case Finished():  # the client has tool calls to answer
                yield "run_finish", {"termination": {"type": "suspended"}}
            case Interrupted(interrupts):
                yield from _questions(interrupts)
                yield "run_finish", {"termination": {"type": "suspended"}}
            case Cancelled():
                yield "run_finish", {"termination": {"type": "cancelled"}}
            case Failed(message, code) | Broken(message, code):
                yield "error", {"message": message, "code": code}
                yield "run_finish", {"termination": {"type": "error", "value": message}}
            case _:
                assert_never(event)


def _questions(interrupts: Iterable[Interrupt]) -> Iterator[_Named]:
    """What a run waits for, as calls whose ids the decisions name."""
    for interrupt in interrupts:
        call: dict[str, Any] = {"id": interrupt.id, "name": interrupt.reason}
        yield "tool_call_start", call
        yield "tool_call_ready", {**call, "arguments": to_plain(interrupt)}


def _last_text(messages: Iterable[Message]) -> str:
    texts = [text_of(message.content) for message in messages if message.role == "assistant"]
    return texts[-1] if texts else ""


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/runs",
        summary="Run an agent, and stream the run's events as tirea has them.",
        action="chat",
        owner=_NEW_RUN,
        body=NewRun,
        answers={200: EVENTS},
        handle=_start,
        details=(
            f"{LIMITED} A worker does the run; a client that goes away"
            " cancels nothing, and one that sends the same `runId` again gets what the run has"
            " said so far, and then what follows. Of a message whose first tokens it has missed,"
            " it gets nothing until the message is committed, and then all of it. What the run"
            " waits for comes as tool calls: a decision names one in"
            " `target_id`. 409: no run of the thread waits for it, or another thread has the run."
            " Fields may have tirea's other names, such as `thread_id`."
        ),
    ),
)
