"""Tool calls: `arguments` is a JSON text in the chat format, and the value itself in Treadle."""

import msgspec

from treadle.cli.chat.strict import as_object, as_text, differing, read_json
from treadle.core.codec import Json
from treadle.core.messages import ToolCall
from treadle.errors import InvalidValue

KEPT = "openai_chat"
"""In `extra`: the fields of the original that the model alone would write back differently."""

_DEPTH = 50
"""Arguments that are nested deeper stay a text, so that the message around them can be stored."""


def read_tool_call(chat: Json, where: str) -> ToolCall:
    """A tool call of the chat format.

    Raises:
        InvalidValue: it is none; the message names the place.
    """
    fields = as_object(chat, where)
    function = as_object(fields.get("function"), f"{where}.function")
    if fields.get("type", "function") != "function":
        raise InvalidValue(f"{where}.type", f"it must be 'function', not {fields['type']!r}")
    call = ToolCall(
        id=as_text(fields.get("id"), f"{where}.id"),
        name=as_text(function.get("name"), f"{where}.function.name"),
        arguments=_read_arguments(function.get("arguments")),
        extra={key: item for key, item in fields.items() if key not in _KNOWN},
    )
    written = write_tool_call(call)
    kept = differing(fields, {**written, "function": fields["function"]})
    if inner := differing(function, written["function"]):
        kept["function"] = inner
    return _keep(call, kept)


def write_tool_call(call: ToolCall) -> dict[str, Json]:
    """The tool call in the chat format."""
    kept = _kept(call)
    inner = dict(kept.pop("function", {}))
    if "arguments" in inner and _read_arguments(inner["arguments"]) != call.arguments:
        del inner["arguments"]  # the arguments were changed since
    arguments = msgspec.json.encode(call.arguments, order="sorted").decode()  # as stores keep them
    function = {"name": call.name, "arguments": arguments, **inner}
    extra = {key: item for key, item in call.extra.items() if key != KEPT}
    return {"id": call.id, "type": "function", "function": function, **extra, **kept}


_KNOWN = frozenset({"id", "type", "function", "name", "arguments", KEPT})


def _read_arguments(raw: Json) -> Json:
    if not isinstance(raw, str):
        return raw
    try:
        return read_json(raw, "arguments", _DEPTH)
    except InvalidValue:
        return raw


def _kept(call: ToolCall) -> dict[str, Json]:
    kept = call.extra.get(KEPT, {})
    return dict(as_object(kept, KEPT))


def _keep(call: ToolCall, kept: dict[str, Json]) -> ToolCall:
    if not kept:
        return call
    return msgspec.structs.replace(call, extra={**call.extra, KEPT: kept})
