"""Messages of tool calls and their results, for adapters that keep what was said beside them.

A message has one result at most. What has several is several messages: the last of them is the
whole, and those before it only show the other results.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from treadle.core.codec import Json, check_json
from treadle.core.messages import Message, Role, ToolCall
from treadle.errors import InvalidValue
from treadle.integrations.strict_json import read_json

PART_OF = "part_of"
"""The field of an adapter's `extra` in a message that only shows one of several results."""


class Result(NamedTuple):
    """What a tool has given."""

    call_id: str
    text: str


def as_messages(
    role: Role,
    content: str | list[Json],
    calls: Sequence[ToolCall],
    results: Sequence[Result],
    extra: tuple[str, dict[str, Json]],
) -> list[Message]:
    """Return the messages that show what was said.

    Args:
        role: who said it, if it is no result.
        content: what was said beside the calls.
        calls: the calls of tools.
        results: the results of tools; they have messages of their own, without the content.
        extra: the adapter's key in `Message.extra`, and what it keeps there of the whole.
    """
    name, whole = extra
    if calls or not results:
        made = tuple(calls) or None
        role = "assistant" if calls else role
        return [Message(role=role, content=content, tool_calls=made, extra={name: whole})]
    *others, last = results
    shown = [_of(result, {name: {PART_OF: last.call_id}}) for result in others]
    return [*shown, _of(last, {name: whole})]


def is_whole(message: Message, name: str) -> bool:
    """Return whether a message is not one that only shows one of several results."""
    kept = message.extra.get(name)
    return not (isinstance(kept, dict) and PART_OF in kept)


def text_of(value: Json) -> str:
    """Return the result of a tool as a text: itself, or its JSON.

    What a store would refuse is refused beside it, too.
    """
    if isinstance(value, str):
        return value
    try:
        check_json(value, "result")
    except InvalidValue:
        return ""
    return msgspec.json.encode(value).decode()


def arguments_of(value: Json) -> Json:
    """Return the arguments of a call: the value of a JSON text, or what was given."""
    if not isinstance(value, str):
        return {} if value is None else value
    try:
        return read_json(value, "arguments")
    except InvalidValue:
        return value  # models write invalid JSON now and then


def _of(result: Result, extra: dict[str, Json]) -> Message:
    return Message(role="tool", content=result.text, tool_call_id=result.call_id, extra=extra)
