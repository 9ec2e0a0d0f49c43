"""Messages that the adapters of frameworks have written, for the formats that models take.

An adapter keeps in `extra` what only its framework understands, and its parts of a content are
those of the framework. A model takes neither. Reasoning is for no other model, and is left out.
"""

from typing import Any

import msgspec

from treadle.core.codec import Json
from treadle.core.messages import Message
from treadle.errors import InvalidValue
from treadle.integrations._parts import OPENAI_PARTS

_OPENAI_ITEM = "openai_item"
_KEYS = frozenset({_OPENAI_ITEM, "google_adk", "agent_framework"})
"""The keys in `extra`: of the OpenAI Agents SDK, of ADK and of Agent Framework."""

_ITEMS: frozenset[Json] = frozenset({None, "message", "function_call", "function_call_output"})
"""The items of the Responses API that are messages of other formats, too."""
_CHAT_PARTS = frozenset({"text", *OPENAI_PARTS})
_RESPONSES_PARTS = frozenset({"input_text", "output_text", "input_image", "input_file"})


def is_adapted(message: Message) -> bool:
    """Return whether an adapter of a framework has written a message."""
    return any(isinstance(message.extra.get(key), dict) for key in _KEYS)


def as_chat(message: Message) -> Message:
    """Return a message of an adapter as the chat format has it; parts that it lacks stay."""
    if not is_adapted(message):
        return message
    extra = {key: item for key, item in message.extra.items() if key not in _KEYS}
    return msgspec.structs.replace(message, extra=extra, content=_content(message.content))


def with_chat_parts(message: Message) -> Message:
    """Return any message with the parts of the Responses API as the chat format has them."""
    if isinstance(message.content, str):
        return message
    content = [_of_responses(part) for part in message.content]
    return msgspec.structs.replace(message, content=content)


def says_nothing(message: Message) -> bool:
    """Return whether a message of an adapter is nothing to a model, such as mere reasoning."""
    if message.role == "tool" or message.tool_calls or not is_adapted(message):
        return False
    return _item_type(message) in (None, "reasoning") and not as_chat(message).content


def refuse_rest(message: Message, target: str, where: str) -> None:
    """Refuse what a framework has and the format named `target` has not.

    Raises:
        InvalidValue: an item or a part of the message; the error says which.
    """
    if (kind := _item_type(message)) not in _ITEMS:
        raise InvalidValue(where, _reason(target, f"item {kind!r}"))
    content = with_chat_parts(as_chat(message)).content
    if isinstance(content, str):
        return
    for index, part in enumerate(content):
        name = _name_of(part)
        if name in _RESPONSES_PARTS or (is_adapted(message) and name not in _CHAT_PARTS):
            raise InvalidValue(f"{where}.content[{index}]", _reason(target, f"part {name!r}"))


def _reason(target: str, what: str) -> str:
    return f"{target} has no {what}; convert it, or leave it out"


def _item_type(message: Message) -> Json:
    item = message.extra.get(_OPENAI_ITEM)
    return item.get("type") if isinstance(item, dict) else None


def _name_of(part: Any) -> str | None:
    """The type of a part; parts of ADK have none, and are named by their field."""
    match part:
        case {"type": str() as name}:
            return name
        case dict():
            return str(next(iter(part), None))
        case _:
            return None


def _content(content: str | list[Json]) -> str | list[Json]:
    if isinstance(content, str):
        return content
    parts = [_of_framework(part) for part in content if not _is_reasoning(part)]
    match parts:
        case []:
            return ""
        case [{"type": "text", "text": str() as text}]:
            return text
        case _:
            return parts


def _is_reasoning(part: Json) -> bool:
    match part:
        case {"thought": True} | {"type": "text_reasoning" | "usage"}:
            return True
        case _:
            return False


def _of_framework(part: Json) -> Json:
    match part:
        case {"type": "text", "text": str() as text}:
            return {"type": "text", "text": text}
        case {"type": "data" | "uri", "uri": str() as url, "media_type": str() as kind}:
            return _image(url) if kind.startswith("image/") else part
        case {"type": _}:
            return _of_responses(part)
        case {"text": str() as text}:
            return {"type": "text", "text": text}
        case {"inline_data": {"mime_type": str() as kind, "data": str() as data}}:
            plain = data.replace("-", "+").replace("_", "/")  # ADK writes it for URLs
            return _image(f"data:{kind};base64,{plain}") if kind.startswith("image/") else part
        case _:
            return part


def _of_responses(part: Json) -> Json:
    match part:
        case {"type": "input_text" | "output_text", "text": str() as text}:
            return {"type": "text", "text": text}
        case {"type": "input_image", "image_url": str() as url, **rest}:
            detail = rest.get("detail")
            return _image(url) if detail is None else _image(url, detail=detail)
        case {"type": "input_file", "file_id": str() as id}:
            return {"type": "file", "file": {"file_id": id}}
        case {"type": "input_file", "file_data": str() as data, "filename": str() as name}:
            return {"type": "file", "file": {"file_data": data, "filename": name}}
        case _:
            return part


def _image(url: str, **hints: Json) -> Json:
    return {"type": "image_url", "image_url": {"url": url, **hints}}
