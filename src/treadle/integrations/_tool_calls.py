"""Tool calls: `arguments` is a JSON text in the chat format, and the value itself in Treadle."""

from typing import Any

import msgspec

from treadle.core.codec import Json
from treadle.core.messages import ToolCall
from treadle.errors import InvalidValue, shorten
from treadle.integrations._originals import (
    NONE,
    ORIGINALS,
    difference,
    kept_in,
    restored,
)
from treadle.integrations._values import as_id, as_object, as_text, same
from treadle.integrations.strict_json import read_json

_NOT_IN_EXTRA = frozenset({*ToolCall.__struct_fields__, ORIGINALS})


def read_tool_call(chat: Json, generated_id: str, where: str) -> ToolCall:
    """Return a tool call of the chat format.

    Args:
        chat: the call, as JSON values.
        generated_id: the id of the call if it has none.
        where: a name for the call, which begins the path in an error.
    """
    fields = as_object(chat, where)
    call = _interpret(fields, generated_id, where)
    name = _inner_name(call)
    written = _write_plainly(call)
    inner = difference(fields[name], written[name])
    outer = difference({**fields, name: None}, {**written, name: None})
    if (outer, inner) == (NONE, NONE):
        return call
    kept = msgspec.structs.replace(outer, inner=None if inner == NONE else inner)
    return msgspec.structs.replace(call, extra={**call.extra, ORIGINALS: kept.as_json()})


def write_tool_call(call: ToolCall, generated_id: str) -> dict[str, Json]:
    """Return the call in the chat format; see `read_tool_call`."""
    kept = kept_in(call.extra)
    bare = without_originals(call)
    name = _inner_name(call)
    chat = _write_plainly(call)

    def reads_the_same(fields: dict[str, Json]) -> bool:
        try:
            return same(_interpret(fields, generated_id, "call"), bare)
        except InvalidValue:
            return False

    inner = restored(
        chat[name], kept.inner or NONE, lambda fields: reads_the_same({**chat, name: fields})
    )
    return {**restored(chat, kept, reads_the_same), name: inner}


def without_originals(call: ToolCall) -> ToolCall:
    """Return the call as if nothing had been kept of the file it comes from."""
    if kept_in(call.extra) == NONE:
        return call
    extra = {key: item for key, item in call.extra.items() if key != ORIGINALS}
    return msgspec.structs.replace(call, extra=extra)


def _interpret(fields: dict[str, Json], generated_id: str, where: str) -> ToolCall:
    call_id = as_id(fields.get("id"), f"{where}.id")
    extra: dict[str, Any]
    match fields.get("type"):
        case None | "function":
            name = "function"
            extra = {}
        case "custom":
            name = "custom"
            extra = {"type": "custom"}
        case other:
            raise InvalidValue(
                f"{where}.type", f"it must be 'function' or 'custom', not {shorten(other)}"
            )
    inner = as_object(fields.get(name), f"{where}.{name}")
    taken = {*_NOT_IN_EXTRA, "type", name}
    return ToolCall(
        id=generated_id if call_id is None else call_id,
        name=as_text(inner.get("name"), f"{where}.{name}.name"),
        arguments=_read_arguments(inner.get("arguments"))
        if name == "function"
        else as_text(inner.get("input"), f"{where}.custom.input"),
        extra=extra | {key: item for key, item in fields.items() if key not in taken},
    )


def _write_plainly(call: ToolCall) -> dict[str, Json]:
    name = _inner_name(call)
    if name == "custom":
        inner: dict[str, Json] = {"name": call.name, "input": call.arguments}
    else:
        # Sorted as stores keep them, so that a call is written alike before and after it is stored.
        arguments = msgspec.json.encode(call.arguments, order="sorted").decode()
        inner = {"name": call.name, "arguments": arguments}
    chat: dict[str, Json] = {"id": call.id, "type": name, name: inner}
    extra = {key: item for key, item in call.extra.items() if key not in {*chat, ORIGINALS}}
    return {**chat, **extra}


def _inner_name(call: ToolCall) -> str:
    is_custom = call.extra.get("type") == "custom" and isinstance(call.arguments, str)
    return "custom" if is_custom else "function"


def _read_arguments(raw: Json) -> Json:
    """Return the value of the JSON text `raw`, or `raw` itself if it is not JSON."""
    # Models write invalid JSON now and then. It is what they said, so it is kept as a text.
    if not isinstance(raw, str):
        return raw
    try:
        return read_json(raw, "arguments")
    except InvalidValue:
        return raw
