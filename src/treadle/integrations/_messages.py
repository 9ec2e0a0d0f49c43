"""Messages of the chat format, read and written so that neither direction loses anything."""

from typing import Any

import msgspec

from treadle.core.codec import Json, check_json, checked, from_plain, to_plain
from treadle.core.messages import Message, MessageMetadata, Role, Visibility
from treadle.errors import InvalidValue, shorten
from treadle.integrations._adapted import as_chat
from treadle.integrations._originals import NONE, ORIGINALS, difference, kept_in, restored
from treadle.integrations._tool_calls import (
    read_tool_call,
    without_originals,
    write_tool_call,
)
from treadle.integrations._values import CHAT_DEPTH, as_id, as_list, as_object, kind_of, same

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_FIELDS = frozenset({"id", "role", "content", "tool_calls", "tool_call_id", "treadle"})
# `extra` is written beside a model's fields, so it must not have a field of the same name.
_NOT_IN_EXTRA = frozenset({*Message.__struct_fields__, *_FIELDS, ORIGINALS})


def read_message(chat: Json, generated_id: str, where: str) -> Message:
    """Return a message of the chat format as Treadle's message.

    Args:
        chat: the message, as JSON values.
        generated_id: the id of the message if it has none.
        where: a name for the message, which begins the path in an error.

    Raises:
        InvalidValue: it is not a message; the error has the path of the wrong value.
    """
    fields = as_object(chat, where)
    check_json(chat, where, CHAT_DEPTH)
    treadle = as_object(fields.get("treadle", {}), f"{where}.treadle")
    if "message" in treadle:
        return _read_exact(fields, treadle["message"], generated_id, where)
    message = _read(fields, generated_id, where)
    if not same(_write(message, generated_id), fields):
        raise InvalidValue(where, "Treadle cannot write it back unchanged, so it is not read")
    return message


def write_message(message: Message, generated_id: str | None) -> dict[str, Json]:
    """Return the message in the chat format; an id that equals `generated_id` is left out.

    If reading that would not give this very message, its field `treadle` has the whole message:
    that of an adapter of a framework, for example, whose own fields and parts no model takes.
    """
    chat = _write(as_chat(message), generated_id)
    try:
        is_exact = same(_read(chat, generated_id or "", "message"), message)
    except InvalidValue:
        is_exact = False
    return chat if is_exact else _with_exact(chat, message)


def says_the_same(message: Message, other: Message) -> bool:
    """Return True if both have the same role, content, tool calls and further fields.

    Ids, runs and the layout of JSON arguments do not count.
    """
    return same(_meaning(message), _meaning(other))


# --- a message that the chat format cannot express, as a whole ------------------------------------


def _with_exact(chat: dict[str, Json], message: Message) -> dict[str, Json]:
    treadle = chat.get("treadle")
    known = treadle if isinstance(treadle, dict) else {}
    return {**chat, "treadle": {**known, "message": to_plain(message)}}


def _read_exact(fields: dict[str, Json], plain: Json, generated_id: str, where: str) -> Message:
    inside = f"{where}.treadle.message"
    try:
        message = checked(from_plain(Message, as_object(plain, inside)), inside)
    except msgspec.ValidationError as error:
        raise InvalidValue(inside, str(error)) from error
    written = (_write(each, generated_id) for each in (as_chat(message), message))
    if not any(same(_with_exact(each, message), fields) for each in written):
        raise InvalidValue(inside, "it is not the message around it; remove it, or change both")
    return message


# --- reading --------------------------------------------------------------------------------------


def _read(fields: dict[str, Json], generated_id: str, where: str) -> Message:
    message = _interpret(fields, generated_id, where)
    kept = difference(fields, _write_plainly(message, generated_id))
    if kept == NONE:
        return message
    return msgspec.structs.replace(message, extra={**message.extra, ORIGINALS: kept.as_json()})


def _interpret(fields: dict[str, Json], generated_id: str, where: str) -> Message:
    treadle = as_object(fields.get("treadle", {}), f"{where}.treadle")
    if unknown := treadle.keys() - {"id", "visibility", "metadata"}:
        names = ", ".join(sorted(unknown))
        reason = f"this version of Treadle does not know {names}; upgrade, or remove it"
        raise InvalidValue(f"{where}.treadle", reason)
    calls = fields.get("tool_calls")
    return Message(
        id=_read_id(fields, treadle, generated_id, where),
        role=_read_role(fields.get("role"), where),
        content=_read_content(fields, where),
        tool_calls=tuple(
            read_tool_call(call, _call_id(generated_id, index), f"{where}.tool_calls[{index}]")
            for index, call in enumerate(as_list(calls, f"{where}.tool_calls"))
        )
        if calls
        else None,
        tool_call_id=as_id(fields.get("tool_call_id"), f"{where}.tool_call_id"),
        visibility=_read_visibility(treadle, f"{where}.treadle.visibility"),
        metadata=_read_metadata(treadle, f"{where}.treadle.metadata"),
        extra={key: item for key, item in fields.items() if key not in _NOT_IN_EXTRA},
    )


def _read_id(
    fields: dict[str, Json], treadle: dict[str, Json], generated_id: str, where: str
) -> str | None:
    own = as_id(fields.get("id"), f"{where}.id")
    if "id" not in treadle:
        return own or generated_id
    if treadle["id"] is not None:
        raise InvalidValue(f"{where}.treadle.id", "it must be null: the message has no id")
    return None


def _call_id(generated_id: str | None, index: int) -> str:
    return f"{generated_id or 'message'}-call-{index}"


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
    role = _ROLES[fields["role"]]
    if content is None and role in {"assistant", "tool"}:
        return ""
    if role == "tool":  # a result that somebody has not made a text yet
        return msgspec.json.encode(content, order="sorted").decode()
    reason = f"it must be a text or a list of parts, not {kind_of(content)}"
    raise InvalidValue(f"{where}.content", reason)


def _read_visibility(treadle: dict[str, Json], where: str) -> Visibility:
    match treadle.get("visibility", "all"):
        case "all":
            return "all"
        case "internal":
            return "internal"
        case other:
            raise InvalidValue(where, f"it must be 'all' or 'internal', not {shorten(other)}")


def _read_metadata(treadle: dict[str, Json], where: str) -> MessageMetadata | None:
    plain = treadle.get("metadata")
    if plain is None:
        return None
    try:
        return from_plain(MessageMetadata, as_object(plain, where))
    except msgspec.ValidationError as error:
        raise InvalidValue(where, str(error)) from error


# --- writing --------------------------------------------------------------------------------------


def _write(message: Message, generated_id: str | None) -> dict[str, Json]:
    bare = _without_originals(message)

    def reads_the_same(fields: dict[str, Json]) -> bool:
        try:
            read = _interpret(fields, generated_id or "", "message")
        except InvalidValue:
            return False
        return same(_without_originals(read), bare)

    return restored(_write_plainly(message, generated_id), kept_in(message.extra), reads_the_same)


def _write_plainly(message: Message, generated_id: str | None) -> dict[str, Json]:
    chat: dict[str, Any] = {}
    if message.id is not None and message.id != generated_id:
        chat["id"] = message.id
    chat["role"] = message.role
    is_call = message.role == "assistant" and bool(message.tool_calls)
    chat["content"] = None if is_call and message.content == "" else message.content
    if message.tool_calls:
        chat["tool_calls"] = [
            write_tool_call(call, _call_id(generated_id, index))
            for index, call in enumerate(message.tool_calls)
        ]
    if message.tool_call_id is not None:
        chat["tool_call_id"] = message.tool_call_id
    chat |= {key: item for key, item in message.extra.items() if key not in _NOT_IN_EXTRA}
    treadle: dict[str, Json] = {"id": None} if message.id is None else {}
    if message.visibility != "all":
        treadle["visibility"] = message.visibility
    if message.metadata is not None:
        treadle["metadata"] = to_plain(message.metadata)
    if treadle:
        chat["treadle"] = treadle
    return chat


def _without_originals(message: Message) -> Message:
    extra = message.extra
    if kept_in(extra) != NONE:
        extra = {key: item for key, item in extra.items() if key != ORIGINALS}
    calls = message.tool_calls and tuple(map(without_originals, message.tool_calls))
    return msgspec.structs.replace(message, extra=extra, tool_calls=calls)


def _meaning(message: Message) -> object:
    bare = _without_originals(message)
    calls = [(call.id, call.name, call.arguments) for call in bare.tool_calls or ()]
    return bare.role, bare.content, calls, bare.tool_call_id, bare.extra
