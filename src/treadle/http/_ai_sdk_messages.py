"""Messages between the AI SDK's form and Treadle's.

The AI SDK has one message for all that an agent says in a turn, with the tools' results as parts of
it. A thread has a message for each step. What the agent has said is not read back: the thread has
it. Only what the client adds is read: results of its own tools, and answers to questions.
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, cast

import msgspec

from treadle.core.codec import Json
from treadle.core.messages import Message
from treadle.errors import InvalidValue
from treadle.http._transcript import output_of, text_of
from treadle.worker import Answer

StructT = TypeVar("StructT", bound=msgspec.Struct)


class Approval(msgspec.Struct, frozen=True):
    """The answer to the question whether a tool may be called."""

    id: str
    approved: bool | None = None
    reason: str | None = None


class Part(msgspec.Struct, frozen=True, rename="camel"):
    """What Treadle reads of a part of a message."""

    type: str
    text: str | None = None
    state: str | None = None
    tool_call_id: str | None = None
    output: Json = None
    error_text: str | None = None
    approval: Approval | None = None

    @property
    def is_tool(self) -> bool:
        """Whether it is a tool call."""
        return self.type.startswith("tool-") or self.type == "dynamic-tool"


class UiMessage(msgspec.Struct, frozen=True):
    """What Treadle reads of a message of the AI SDK."""

    id: str
    role: str
    parts: list[dict[str, Json]]


class Said(msgspec.Struct, frozen=True):
    """What a client says."""

    messages: list[Message]
    answers: tuple[Answer, ...] = ()
    continued: str | None = None
    """The id of the agent's message that goes on."""


def read_messages(messages: Sequence[Json]) -> Said:
    """Return what a client says.

    Raises:
        InvalidValue: one of them is not a message.
    """
    where = "body.messages"
    given = [
        _converted(plain, UiMessage, f"{where}[{index}]") for index, plain in enumerate(messages)
    ]
    said = [
        read
        for index, message in enumerate(given)
        if (read := _read(message, f"{where}[{index}]")) is not None
    ]
    if not given or given[-1].role != "assistant":
        return Said(said)
    answers: list[Answer] = []
    for index, plain in enumerate(given[-1].parts):
        part = _converted(plain, Part, f"{where}[{len(given) - 1}].parts[{index}]")
        if not part.is_tool or part.tool_call_id is None:
            continue
        if part.state == "approval-responded" and part.approval is not None:
            answers.append(_answer(part.approval))
        elif part.state in ("output-available", "output-error"):
            said.append(_result(part, f"{given[-1].id}-{part.tool_call_id}"))
    return Said(said, tuple(answers), given[-1].id)


def _read(message: UiMessage, where: str) -> Message | None:
    """The message of a user; None if it is the agent's."""
    match message.role:
        case "user":
            return Message.user(_content(message), id=message.id)
        case "system":
            return Message.system(_content(message), id=message.id)
        case "assistant":
            return None
        case role:
            raise InvalidValue(f"{where}.role", f"{role!r} is not a role of the AI SDK")


def _converted(plain: Json, kind: type[StructT], where: str) -> StructT:
    try:
        return msgspec.convert(plain, type=kind)
    except msgspec.ValidationError as error:
        raise InvalidValue(where, str(error)) from error


def _content(message: UiMessage) -> str | list[Json]:
    texts = [part.get("text") for part in message.parts if part.get("type") == "text"]
    if len(texts) == len(message.parts) and all(isinstance(text, str) for text in texts):
        return "".join(cast("list[str]", texts))
    return cast("list[Json]", message.parts)


def _answer(approval: Approval) -> Answer:
    payload: dict[str, Json] = {"approved": bool(approval.approved)}
    if approval.reason is not None:
        payload["reason"] = approval.reason
    return Answer(interrupt_id=approval.id, payload=payload)


def _result(part: Part, message_id: str) -> Message:
    output = part.output if part.state == "output-available" else {"error": part.error_text}
    content = output if isinstance(output, str) else msgspec.json.encode(output).decode()
    return Message.tool(part.tool_call_id or "", content, id=message_id)


def written(messages: Iterable[Message]) -> list[dict[str, Json]]:
    """Return messages of a thread as the AI SDK has them: one for all that an agent says."""
    found: list[dict[str, Any]] = []
    tools: dict[str, dict[str, Any]] = {}
    for message in messages:
        match message.role:
            case "tool":
                part = tools.get(message.tool_call_id or "")
                if part is not None:
                    part |= {"state": "output-available", "output": output_of(message)}
            case "assistant":
                if not found or found[-1]["role"] != "assistant":
                    run_id = message.metadata.run_id if message.metadata else None
                    name = run_id or message.id
                    found.append({"id": name, "role": "assistant", "parts": []})
                found[-1]["parts"] += _step(message, tools)
            case role:
                found.append({"id": message.id, "role": role, "parts": _parts(message)})
    return found


def _step(message: Message, tools: dict[str, dict[str, Any]]) -> list[dict[str, Json]]:
    parts: list[dict[str, Json]] = [{"type": "step-start"}]
    text = text_of(message.content)
    if text:
        parts.append({"type": "text", "text": text, "state": "done"})
    for call in message.tool_calls or ():
        tools[call.id] = {
            "type": f"tool-{call.name}",
            "toolCallId": call.id,
            "state": "input-available",
            "input": call.arguments,
        }
        parts.append(tools[call.id])
    return parts


def _parts(message: Message) -> list[Json]:
    if isinstance(message.content, str):
        return [{"type": "text", "text": message.content}]
    known = [part for part in message.content if isinstance(part, dict)]
    return [part for part in known if part.get("type") in ("text", "file")]
