"""Messages between AG-UI's form and Treadle's."""

from collections.abc import Iterable
from typing import Any

import msgspec

from treadle.core.codec import Json
from treadle.core.messages import Message, Role, ToolCall
from treadle.errors import InvalidValue
from treadle.http._transcript import text_of

_ROLES: dict[str, Role] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
}
_SKIPPED = {"reasoning", "activity"}
"""Roles of what an agent shows and a thread does not keep."""
_PARTS = {"text", "image", "audio", "video", "document"}


class Function(msgspec.Struct, frozen=True):
    """The name and the arguments of a tool call; the arguments are a text of JSON."""

    name: str
    arguments: str = ""


class Called(msgspec.Struct, frozen=True):
    """A tool call of a message."""

    id: str
    function: Function
    type: str = "function"


class AgUiMessage(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A message as AG-UI has it; what Treadle does not keep is left out."""

    id: str
    role: str
    content: str | list[Json] | dict[str, Json] | None = None
    tool_calls: tuple[Called, ...] | None = None
    tool_call_id: str | None = None
    error: str | None = None


def read_messages(messages: Iterable[Json]) -> list[Message]:
    """Return the messages of a client, without those that a thread does not keep.

    Raises:
        InvalidValue: one of them is not a message.
    """
    return [
        read
        for index, message in enumerate(messages)
        if (read := _read(message, f"body.messages[{index}]")) is not None
    ]


def _read(plain: Json, where: str) -> Message | None:
    try:
        given = msgspec.convert(plain, type=AgUiMessage)
    except msgspec.ValidationError as error:
        raise InvalidValue(where, str(error)) from error
    if given.role in _SKIPPED:
        return None
    role = _ROLES.get(given.role)
    if role is None:
        raise InvalidValue(f"{where}.role", f"{given.role!r} is not a role of AG-UI")
    if role == "tool" and given.tool_call_id is None:
        raise InvalidValue(f"{where}.toolCallId", "a result must name the call that it answers")
    content = given.content
    if content is None or isinstance(content, dict):
        content = given.error or ""
    return Message(
        id=given.id,
        role=role,
        content=content,
        tool_calls=tuple(map(_read_call, given.tool_calls or ())) or None,
        tool_call_id=given.tool_call_id if role == "tool" else None,
    )


def _read_call(call: Called) -> ToolCall:
    try:
        arguments = msgspec.json.decode(call.function.arguments) if call.function.arguments else {}
    except (msgspec.DecodeError, RecursionError):  # as the model has written it
        arguments = call.function.arguments
    return ToolCall(id=call.id, name=call.function.name, arguments=arguments)


def written(message: Message) -> dict[str, Json]:
    """Return a message as AG-UI has it."""
    plain: dict[str, Any] = {"id": message.id, "role": message.role}
    match message.role:
        case "tool":
            plain["content"] = text_of(message.content)
            plain["toolCallId"] = message.tool_call_id or ""
        case "user":
            plain["content"] = _parts(message.content)
        case _:
            plain["content"] = text_of(message.content)
    if message.role == "assistant" and message.tool_calls:
        plain["toolCalls"] = [_written_call(call) for call in message.tool_calls]
    return plain


def _parts(content: str | list[Json]) -> str | list[Json]:
    """The parts that AG-UI knows; a text if there are others."""
    if isinstance(content, str):
        return content
    are_known = all(isinstance(part, dict) and part.get("type") in _PARTS for part in content)
    has_sources = all("text" in part or "source" in part for part in content if are_known)
    return content if are_known and has_sources else text_of(content)


def _written_call(call: ToolCall) -> dict[str, Json]:
    arguments = msgspec.json.encode(call.arguments).decode()
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }
