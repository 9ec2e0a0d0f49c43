"""The content of Anthropic's Messages format: its blocks, as Treadle has them and back."""

from itertools import groupby
from typing import Any, Literal

import msgspec

from treadle.core.codec import Json
from treadle.core.messages import Message, Role, ToolCall
from treadle.errors import InvalidValue
from treadle.integrations._originals import ORIGINALS, is_difference
from treadle.integrations._parts import ANTHROPIC_LAYOUT, EXPORTED
from treadle.integrations._values import as_list, as_object, as_text, kind_of


class Layout(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a message was laid out, where it differs from what Treadle writes by itself."""

    content: Literal["blocks", "absent"] | None = None
    """The text was a list of one block, or absent."""
    joined: bool | None = None
    """It was in one message with what is before it, or not."""
    calls_at: list[int] | None = None
    """The indices of the tool calls in the content."""


def layout_of(message: Message) -> Layout:
    """Return the layout in the message's `extra`, if there is one."""
    try:
        return msgspec.convert(message.extra.get(ANTHROPIC_LAYOUT, {}), Layout)
    except msgspec.ValidationError:
        return Layout()  # not ours: a field of that name


def with_layout(message: Message, **changes: Any) -> Message:
    """Return the message with a changed layout."""
    layout = msgspec.to_builtins(msgspec.structs.replace(layout_of(message), **changes))
    others = {key: item for key, item in message.extra.items() if not is_layout(key, item)}
    return msgspec.structs.replace(
        message, extra=others | ({ANTHROPIC_LAYOUT: layout} if layout else {})
    )


def is_layout(key: str, item: Json) -> bool:
    """Return True if an item of `extra` is a layout; another one is a field of that name."""
    if key != ANTHROPIC_LAYOUT:
        return False
    try:
        msgspec.convert(item, Layout)
    except msgspec.ValidationError:
        return False
    return True


def fields_of(extra: dict[str, Json]) -> dict[str, Json]:
    """Return the fields in `extra` that are written: no layouts, nothing of an export."""
    return {
        key: item
        for key, item in extra.items()
        if not (
            key in EXPORTED or is_layout(key, item) or (key == ORIGINALS and is_difference(item))
        )
    }


def text_of(content: str | list[Json]) -> str | list[Json]:
    """Return the text of a list with one plain block of text; all else as it is."""
    match content:
        case [{"type": "text", "text": str() as text, **further}] if text and not further:
            return text
        case _:
            return content


def blocks_of(content: str | list[Json]) -> list[Json]:
    """Return a text as a list of one block, or of none; a list as it is."""
    if not isinstance(content, str):
        return content
    return [{"type": "text", "text": content}] if content else []


# --- reading --------------------------------------------------------------------------------------


def read_system(system: Json) -> list[Message]:
    """Return a message for each text of a request's system prompt."""
    if system is None:
        return []
    if isinstance(system, str):
        return [Message(role="system", content=system)]
    blocks = as_list(system, "system")
    messages = [Message(role="system", content=text_of([block])) for block in blocks]
    return [_as_blocks(messages[0])] if len(messages) == 1 else messages


def read_assistant(content: str | list[Json], extra: dict[str, Json], where: str) -> Message:
    """Return a message of the assistant."""
    calls_at = [at for at, block in enumerate(content) if _type(block) == "tool_use"]
    if not calls_at:
        return _read_alone("assistant", content, extra)
    others = [block for block in content if _type(block) != "tool_use"]
    message = Message(
        role="assistant",
        content=text_of(others) if others else "",
        tool_calls=tuple(_read_call(content[at], f"{where}[{at}]") for at in calls_at),
        extra=extra,
    )
    is_usual = calls_at == list(range(len(others), len(content)))
    return message if is_usual else with_layout(message, calls_at=calls_at)


def read_user(content: str | list[Json], extra: dict[str, Json], where: str) -> list[Message]:
    """Return a message for each result of a tool, and for what the user says before and after."""
    runs = [
        (is_result, list(run))
        for is_result, run in groupby(
            enumerate(content), lambda each: _type(each[1]) == "tool_result"
        )
    ]
    if not any(is_result for is_result, _ in runs):
        return [_read_alone("user", content, extra)]
    if extra and runs[0][0]:
        names = ", ".join(sorted(extra))
        raise InvalidValue(where, f"Treadle cannot keep {names} beside a tool_result")
    messages: list[Message] = []
    for is_result, run in runs:
        if is_result:
            found = [_read_result(block, f"{where}[{at}]") for at, block in run]
        else:
            said = text_of([block for _, block in run])
            found = [Message(role="user", content=said, extra={} if messages else extra)]
        if messages:
            found[0] = with_layout(found[0], joined=True)
        messages += found
    return messages


def further_fields(
    fields: dict[str, Json], known: set[str], kind: type[msgspec.Struct], where: str
) -> dict[str, Json]:
    """Return the fields that Treadle does not know, for the `extra` of a `kind`."""
    extra = {key: item for key, item in fields.items() if key not in known}
    for name in sorted(extra.keys() & {*kind.__struct_fields__}):
        reason = f"a {kind.__name__} has a field of that name; leave it out"
        raise InvalidValue(f"{where}.{name}", reason)
    return extra


def _read_alone(role: Role, content: str | list[Json], extra: dict[str, Json]) -> Message:
    message = Message(role=role, content=text_of(content), extra=extra)
    return message if message.content is content else _as_blocks(message)


def _as_blocks(message: Message) -> Message:
    return with_layout(message, content="blocks") if isinstance(message.content, str) else message


def _read_result(block: Json, where: str) -> Message:
    fields = as_object(block, where)
    content = fields.get("content", "")
    if not isinstance(content, str | list):
        reason = f"it must be a text or a list of blocks, not {kind_of(content)}"
        raise InvalidValue(f"{where}.content", reason)
    known = {"type", "tool_use_id", "content"}
    message = _read_alone("tool", content, further_fields(fields, known, Message, where))
    if "content" not in fields:
        message = with_layout(message, content="absent")
    call_id = as_text(fields.get("tool_use_id"), f"{where}.tool_use_id")
    return msgspec.structs.replace(message, tool_call_id=call_id)


def _read_call(block: Json, where: str) -> ToolCall:
    fields = as_object(block, where)
    known = {"type", "id", "name", "input"}
    return ToolCall(
        id=as_text(fields.get("id"), f"{where}.id"),
        name=as_text(fields.get("name"), f"{where}.name"),
        arguments=as_object(fields.get("input"), f"{where}.input"),
        extra=further_fields(fields, known, ToolCall, where),
    )


def _type(block: Json) -> Json:
    match block:
        case {"type": kind}:
            return kind
        case _:
            return None


# --- writing --------------------------------------------------------------------------------------


def write_content(message: Message) -> str | list[Json]:
    """Return the content of a message that is written alone."""
    if message.role == "tool":
        return [_write_result(message)]
    if message.tool_calls:
        return _write_calls(message, message.tool_calls)
    return _write_text(message)


def write_blocks(message: Message) -> list[Json]:
    """Return the blocks of a message that is written together with others."""
    return [_write_result(message)] if message.role == "tool" else blocks_of(message.content)


def _write_text(message: Message) -> str | list[Json]:
    is_list = layout_of(message).content == "blocks"
    return blocks_of(message.content) if is_list else message.content


def _write_calls(message: Message, calls: tuple[ToolCall, ...]) -> list[Json]:
    others = blocks_of(message.content)
    written = [
        {**fields_of(c.extra), "type": "tool_use", "id": c.id, "name": c.name, "input": c.arguments}
        for c in calls
    ]
    places = layout_of(message).calls_at
    calls_at = {*(places or ())}
    count = len(others) + len(written)
    if places is None or len(places) != len(written) or not calls_at <= {*range(count)}:
        return [*others, *written]
    rest, results = iter(others), iter(written)
    return [next(results) if at in calls_at else next(rest) for at in range(count)]


def _write_result(message: Message) -> dict[str, Json]:
    block = fields_of(message.extra) | {"type": "tool_result", "tool_use_id": message.tool_call_id}
    if layout_of(message).content == "absent" and message.content == "":
        return block
    return block | {"content": _write_text(message)}
