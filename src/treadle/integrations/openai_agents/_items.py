"""Items of the Responses API as messages of a thread, and back without loss.

Role, content and tool calls of a message are those of the item, so that a thread looks the same
wherever it is shown. What a message cannot express of an item is in `extra["openai_item"]`.
"""

import copy
from typing import Any

import msgspec

from treadle import InvalidValue, Json, Message, Role, ToolCall
from treadle.core.codec import check_json
from treadle.integrations._tool_calls import read_tool_call, write_tool_call
from treadle.integrations._values import as_object, plain, same

REST = "openai_item"
"""The key in `extra`: the fields of the item that the message does not have."""

_ROLES: dict[Json, Role] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
}


def read_item(item: Json) -> Message:
    """Return an item as a message.

    The message has no id: a thread skips a message whose id it has already, and items of one id may
    come twice. An item that says nothing to a user, such as a model's reasoning, is internal.

    Raises:
        InvalidValue: it is no JSON object; the message says where.
    """
    fields = as_object(item, "item")
    try:
        check_json(item, "item")
    except InvalidValue:
        fields = plain(fields)  # the SDK's sessions take what `json.dumps` takes
        check_json(fields, "item")
    message, taken = _shown(fields)
    if not isinstance(message.content, list) and same(write_items(message), [fields]):
        return message
    rest = {key: value for key, value in fields.items() if key not in taken}
    return msgspec.structs.replace(message, extra={REST: rest})


def write_items(message: Message) -> list[dict[str, Any]]:
    """Return a message as items: the one it was read from, or those that say the same.

    A message with tool calls that was not read from an item is several.
    """
    rest = message.extra.get(REST)
    if isinstance(rest, dict):
        return [{**copy.deepcopy(rest), **_expressed(message)}]
    if message.role == "tool":
        return [{"type": "function_call_output", **_output(message)}]
    calls = [{"type": "function_call", **_call(call)} for call in message.tool_calls or ()]
    if calls and not message.content:
        return calls
    return [{"role": message.role, "content": _responses_content(message)}, *calls]


def _shown(item: dict[str, Json]) -> tuple[Message, set[str]]:
    """Return what a message expresses of an item, and the names of those fields."""
    match item:
        case {"type": "function_call", "call_id": str(), "name": str(), "arguments": str()}:
            inner = {"name": item["name"], "arguments": item["arguments"]}
            chat = {"id": item["call_id"], "type": "function", "function": inner}
            calls = (read_tool_call(chat, "", "item"),)
            message = Message(role="assistant", content="", tool_calls=calls)
            return message, {"call_id", "name", "arguments"}
        case {"type": str() as kind, "call_id": str() as call_id, "output": str() | list() as text}:
            if kind.endswith("_output"):
                message = Message(role="tool", content=text, tool_call_id=call_id)
                return message, {"call_id", "output"}
        case {"role": str() as role, "content": str() | list() as text} if text and role in _ROLES:
            return Message(role=_ROLES[role], content=text), {"content"}
        case _:
            pass
    return Message(role="assistant", content="", visibility="internal"), set()


def _expressed(message: Message) -> dict[str, Json]:
    """Return the fields of its item that a message expresses."""
    if message.tool_calls:
        return _call(message.tool_calls[0])
    if message.role == "tool":
        return _output(message)
    return {"content": copy.deepcopy(message.content)} if message.content else {}


def _call(call: ToolCall) -> dict[str, Json]:
    inner = write_tool_call(call, "")["function"]
    return {"call_id": call.id, "name": call.name, "arguments": inner["arguments"]}


def _output(message: Message) -> dict[str, Json]:
    return {"call_id": message.tool_call_id or "", "output": copy.deepcopy(message.content)}


def _responses_content(message: Message) -> Json:
    """Return content with the parts of the chat format as the Responses API has them."""
    if isinstance(message.content, str):
        return message.content
    kind = "output_text" if message.role == "assistant" else "input_text"
    return [_responses_part(part, kind) for part in copy.deepcopy(message.content)]


def _responses_part(part: Json, text_kind: str) -> Json:
    match part:
        case {"type": "text", "text": str() as text, **further} if not further:
            return {"type": text_kind, "text": text}
        case {"type": "image_url", "image_url": {"url": str() as url, **hints}}:
            return {"type": "input_image", "image_url": url, "detail": "auto", **hints}
        case _:
            return part
