"""A message of the OpenAI chat format, read into Treadle's model and written back the same.

What the model holds is written from the model. Fields it does not know stay beside it in `extra`;
those it would write differently (`content: null`, a role it calls otherwise) are kept in
`extra["openai_chat"]`. What only Treadle knows is written under `treadle`.
"""

from typing import Any, cast

import msgspec

from treadle.cli.chat.strict import as_list, as_object, as_text, differing, kind_of
from treadle.cli.chat.tool_calls import KEPT, read_tool_call, write_tool_call
from treadle.core.codec import Json, from_plain, to_plain
from treadle.core.messages import Message, MessageMetadata, Role, ToolCall, Visibility
from treadle.errors import InvalidValue

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_KNOWN = frozenset({*Message.__struct_fields__, "treadle", KEPT})


def read_message(chat: Json, generated_id: str, where: str) -> Message:
    """A message of the chat format; it gets `generated_id` if it has no id of its own.

    Raises:
        InvalidValue: it is none; the message names the place.
    """
    fields = as_object(chat, where)
    own = as_object(fields.get("treadle", {}), f"{where}.treadle")
    own_id = fields.get("id")
    message = Message(
        id=own_id if isinstance(own_id, str) and own_id else generated_id,
        role=_read_role(fields.get("role"), where),
        content=_read_content(fields, where),
        tool_calls=_read_tool_calls(fields.get("tool_calls"), where),
        tool_call_id=_read_optional_text(fields.get("tool_call_id"), f"{where}.tool_call_id"),
        visibility=_read_visibility(own, where),
        metadata=_read_metadata(own, where),
        extra={key: item for key, item in fields.items() if key not in _KNOWN},
    )
    kept = differing(fields, {**write_message(message, generated_id), "treadle": own})
    if message.tool_calls:
        kept.pop("tool_calls", None)  # each call keeps its own
    if not kept:
        return message
    return msgspec.structs.replace(message, extra={**message.extra, KEPT: kept})


def write_message(message: Message, generated_id: str | None) -> dict[str, Json]:
    """The message in the chat format; an id that equals `generated_id` is left out."""
    chat: dict[str, Json] = {}
    if message.id is not None and message.id != generated_id:
        chat["id"] = message.id
    chat |= _write_content(message)
    own: dict[str, Json] = {}
    if message.visibility != "all":
        own["visibility"] = message.visibility
    if message.metadata is not None:
        own["metadata"] = to_plain(message.metadata)
    if own:
        chat["treadle"] = own
    return chat


def says_the_same(message: Message, other: Message) -> bool:
    """Whether both have the same role, content, tool calls and further fields.

    Ids, runs and how the JSON of arguments was written do not count.
    """
    return _meaning(message) == _meaning(other)


def _meaning(message: Message) -> bytes:
    calls = [(call.id, call.name, call.arguments) for call in message.tool_calls or ()]
    extra = {key: item for key, item in message.extra.items() if key != KEPT}
    meaning = (message.role, message.content, calls, message.tool_call_id, extra)
    return msgspec.json.encode(meaning, order="sorted")


def _write_content(message: Message) -> dict[str, Json]:
    content = None if message.tool_calls and message.content == "" else message.content
    chat: dict[str, Json] = {"role": message.role, "content": content}
    if message.tool_calls:
        chat["tool_calls"] = [write_tool_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        chat["tool_call_id"] = message.tool_call_id
    chat |= {key: item for key, item in message.extra.items() if key != KEPT}
    kept = message.extra.get(KEPT)
    if isinstance(kept, dict):
        for key, item in cast("dict[str, Any]", kept).items():
            if _still_holds(key, item, message):
                chat[key] = item
    return chat


def _still_holds(key: str, item: Json, message: Message) -> bool:
    """Whether a kept field still means what the message says, which may have been changed since."""
    match key:
        case "content":
            return not item and message.content == ""
        case "role":
            return _ROLES.get(item) == message.role
        case "tool_calls":
            return not message.tool_calls
        case "tool_call_id":
            return message.tool_call_id is None
        case _:
            return True


def _read_role(role: Json, where: str) -> Role:
    known = _ROLES.get(role) if isinstance(role, str) else None
    if known is None:
        names = ", ".join(_ROLES)
        found = repr(role) if isinstance(role, str) else kind_of(role)
        raise InvalidValue(f"{where}.role", f"it must be one of {names}, not {found}")
    return known


def _read_content(fields: dict[str, Json], where: str) -> str | list[Json]:
    content = fields.get("content")
    if isinstance(content, str | list):
        return content
    if content is None and fields.get("role") == "assistant":
        return ""
    reason = f"it must be a text or a list of parts, not {kind_of(content)}"
    raise InvalidValue(f"{where}.content", reason)


def _read_tool_calls(calls: Json, where: str) -> tuple[ToolCall, ...] | None:
    if not calls and (calls is None or isinstance(calls, list)):
        return None
    place = f"{where}.tool_calls"
    read = (
        read_tool_call(call, f"{place}[{index}]")
        for index, call in enumerate(as_list(calls, place))
    )
    return tuple(read)


def _read_optional_text(value: Json, where: str) -> str | None:
    return None if value is None else as_text(value, where)


def _read_visibility(own: dict[str, Json], where: str) -> Visibility:
    match own.get("visibility", "all"):
        case "all":
            return "all"
        case "internal":
            return "internal"
        case other:
            reason = f"it must be 'all' or 'internal', not {other!r}"
            raise InvalidValue(f"{where}.treadle.visibility", reason)


def _read_metadata(own: dict[str, Json], where: str) -> MessageMetadata | None:
    plain = own.get("metadata")
    if plain is None:
        return None
    place = f"{where}.treadle.metadata"
    try:
        return from_plain(MessageMetadata, as_object(plain, place))
    except msgspec.ValidationError as error:
        raise InvalidValue(place, str(error)) from error
