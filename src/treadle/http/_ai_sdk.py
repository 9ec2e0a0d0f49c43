"""The AI SDK's stream of messages (`useChat`): the second form of the events of a run."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal, assert_never, cast

import msgspec
from starlette.responses import Response

from treadle.clock import new_id
from treadle.core.codec import Json, Model, to_plain
from treadle.core.ids import RunId, ThreadId
from treadle.core.mailbox_queries import SearchEntries
from treadle.core.run_requests import request_in
from treadle.http._ai_sdk_messages import read_messages
from treadle.http._call import Call
from treadle.http._event_stream import framed
from treadle.http._operation import EVENTS, Operation
from treadle.http._owners import OwnerRule, by_id, require_own_thread
from treadle.http._requested_runs import LIMITED, request, require_own_request
from treadle.http._responses import no_content
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
from treadle.http._transcript import output_of
from treadle.worker import Interrupt, RunRequest

_HEADERS = {"x-vercel-ai-ui-message-stream": "v1"}


class ChatRequest(Model, frozen=True, kw_only=True):
    """What `useChat` sends; further fields, such as those of `body`, are ignored."""

    id: ThreadId
    """The chat, which is a thread."""
    messages: list[Json]
    trigger: Literal["submit-message", "regenerate-message"] = "submit-message"
    """To regenerate, what comes after the last message is removed from the thread."""
    run_id: RunId | None = msgspec.field(default=None, name="runId")
    """The id of the run; a new one by default."""


async def _own_chat(call: Call, own: str) -> Call:
    given = cast("ChatRequest", call.body)
    await require_own_request(call.store, own, given.id, [given.run_id])
    return call


OWN_CHAT = OwnerRule(text="the chat must be yours, or new, and so must the run", apply=_own_chat)


async def _run(call: Call) -> Response:
    given = cast("ChatRequest", call.body)
    said = read_messages(given.messages)
    run_id = given.run_id or new_id()
    wanted = RunRequest(
        agent_id=call.ids["agent_id"],
        thread_id=given.id,
        run_id=run_id,
        origin="ai_sdk",
        resume=said.answers,
    )
    stream = RunStream(call, given.id, run_id, (message.id for message in said.messages))

    async def begin() -> AsyncGenerator[bytes | None]:
        asked = await request(
            call,
            wanted,
            said.messages,
            removes_rest=given.trigger == "regenerate-message",
            repeats_answers=True,
        )
        return _encoded(Encoder(said.continued or run_id), stream.of_request(asked))

    return await stream_of_run(call, stream, begin, _HEADERS)


async def _resume(call: Call) -> Response:
    thread_id = call.ids["chat_id"]
    found = await call.store.read(
        SearchEntries(mailbox_id=thread_id, statuses=("queued", "claimed"))
    )
    for entry in found[0].items:
        wanted = request_in(entry)
        if wanted is not None and wanted.thread_id == thread_id:
            return await _followed(call, wanted, entry.entry_id)
    return no_content()


async def _followed(call: Call, wanted: RunRequest, entry_id: str) -> Response:
    stream = RunStream(call, wanted.thread_id, wanted.run_id)

    async def begin() -> AsyncGenerator[bytes | None]:
        return _encoded(Encoder(None), stream.replayed(entry_id))

    return await stream_of_run(call, stream, begin, _HEADERS)


async def _encoded(
    encoder: "Encoder", events: AsyncGenerator[RunEvent | None]
) -> AsyncGenerator[bytes | None]:
    async with aclosing(framed_run(events, encoder.encode)) as run:
        async for event in run:
            yield event
    yield framed(b"[DONE]")


class Encoder:
    """Encodes the events of a run as chunks of the AI SDK.

    Args:
        message_id: the id of the agent's message at the client; None: that which it has.
    """

    def __init__(self, message_id: str | None) -> None:
        self._message_id = message_id
        self._step: str | None = None
        """The message of the thread that is a step of the agent's now."""
        self._of_others: set[str] = set()
        """Messages that are not the agent's: a stream cannot bring them."""

    def encode(self, event: RunEvent) -> list[dict[str, Json]]:
        """Return the chunks that say the same."""
        match event:
            case Begun():
                name = {} if self._message_id is None else {"messageId": self._message_id}
                return [{"type": "start", **name}]
            case PartBegan(message_id, _, role):
                if role != "assistant":
                    self._of_others.add(message_id)
                    return []
                return [*self._in_step(message_id), *_began(event)]
            case PartGrew(message_id) | PartEnded(message_id):
                return [] if message_id in self._of_others else _went_on(event)
            case ToolAnswered(message):
                about = {"toolCallId": message.tool_call_id or ""}
                return [{"type": "tool-output-available", **about, "output": output_of(message)}]
            case StateIs(state) | StateChanged(state):
                return [{"type": "data-state", "id": "state", "data": state}]
            case MessagesAre():
                # A stream can only add to a message: the client has to load the history again.
                return [{"type": "data-outdated", "data": None, "transient": True}]
            case Finished() | Interrupted() | Cancelled() | Failed() | Broken():
                return self._ended(event)
            case _:
                assert_never(event)

    def _ended(
        self, event: Finished | Interrupted | Cancelled | Failed | Broken
    ) -> list[dict[str, Json]]:
        match event:
            case Interrupted(interrupts):
                asked = [_question(interrupt) for interrupt in interrupts]
                return [*asked, *self._end_of_step(), {"type": "finish"}]
            case Finished():
                return [*self._end_of_step(), {"type": "finish"}]
            case Cancelled():
                return [{"type": "abort"}]
            case Failed(message, _) | Broken(message, _):
                return [{"type": "error", "errorText": message}]
            case _:
                assert_never(event)

    def _in_step(self, message_id: str) -> list[dict[str, Json]]:
        if message_id == self._step:
            return []
        end = self._end_of_step()
        self._step = message_id
        return [*end, {"type": "start-step"}]

    def _end_of_step(self) -> list[dict[str, Json]]:
        step, self._step = self._step, None
        return [] if step is None else [{"type": "finish-step"}]


def _began(event: PartBegan) -> list[dict[str, Json]]:
    match event.part:
        case "text":
            return [{"type": "text-start", "id": event.message_id}]
        case "reasoning":
            return [{"type": "reasoning-start", "id": event.message_id}]
        case "tool_call":
            about = {"toolCallId": event.call_id, "toolName": event.tool_name}
            return [{"type": "tool-input-start", **about}]
        case _:
            assert_never(event.part)


def _went_on(event: PartGrew | PartEnded) -> list[dict[str, Json]]:
    if event.part != "tool_call":
        if isinstance(event, PartEnded):
            return [{"type": f"{event.part}-end", "id": event.message_id}]
        return [{"type": f"{event.part}-delta", "id": event.message_id, "delta": event.delta}]
    if isinstance(event, PartGrew):
        delta = {"toolCallId": event.call_id, "inputTextDelta": event.delta}
        return [{"type": "tool-input-delta", **delta}]
    called = {"toolCallId": event.call_id, "toolName": event.tool_name, "input": event.arguments}
    if event.is_complete:
        return [{"type": "tool-input-available", **called}]
    return [{"type": "tool-input-error", **called, "errorText": "the call was not completed"}]


def _question(interrupt: Interrupt) -> dict[str, Json]:
    if interrupt.tool_call_id is None:
        return {"type": "data-interrupt", "id": interrupt.id, "data": to_plain(interrupt)}
    asked = {"approvalId": interrupt.id, "toolCallId": interrupt.tool_call_id}
    reason = {} if interrupt.message is None else {"reason": interrupt.message}
    return {"type": "tool-approval-request", **asked, **reason}


_OWN = by_id("chat", require_own_thread, "chat_id")
_RESUMED = (
    "204: nothing runs. Otherwise the run from its beginning, as `useChat` resumes it. With"
    " `api: '/v1/ai-sdk/agents/AGENT/runs'` it asks here by itself."
)

OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/ai-sdk/agents/{agent_id}/runs",
        summary="Run an agent on a chat, for a client of the AI SDK.",
        action="chat",
        owner=OWN_CHAT,
        body=ChatRequest,
        answers={200: EVENTS},
        handle=_run,
        details=(
            f"{LIMITED} A client that goes away cancels nothing. 409: all"
            " that the client says are answers that no run of the chat waits for, or another chat"
            " has the run."
        ),
    ),
    *(
        Operation(
            method="GET",
            path=f"/v1/ai-sdk/agents/{{agent_id}}/{noun}/{{chat_id}}/stream",
            summary="Follow the run of a chat that goes on.",
            action="read",
            owner=_OWN,
            answers={200: EVENTS, 204: None},
            handle=_resume,
            details=_RESUMED,
        )
        for noun in ("runs", "chats")
    ),
)
