"""Events of ADK as messages: what was said is the message's, and the rest is in `extra`."""

from typing import Any

from google.adk.events.event import Event
from pydantic import ValidationError

from treadle import CorruptRecord, Json, Message, Role, StoredMessage, ToolCall
from treadle.integrations._tool_messages import Result, arguments_of, is_whole, text_of
from treadle.integrations._tool_messages import as_messages as tool_messages

_EXTRA = "google_adk"
"""The key in a message's `extra` for the fields of the event."""


def as_messages(event: Event) -> list[Message]:
    """Return the messages of an event: one, or more if it has the results of several tools.

    Calls of tools are those of the message, and a result is a message of the tool; the parts as
    they were are in `extra` then. An event that says nothing, such as a change of the state, is
    internal.

    Messages have no ids: the store would skip a second event with the id of another.
    """
    fields: dict[str, Any] = event.model_dump(mode="json", exclude_none=True)
    role: Role = "user" if event.author == "user" else "assistant"
    if "parts" not in fields.get("content", {}):
        return [Message(role=role, content="", visibility="internal", extra={_EXTRA: fields})]
    parts = fields["content"]["parts"]
    calls = [call for call in map(_call_in, parts) if call is not None]
    results = [result for result in map(_result_in, parts) if result is not None]
    if not (calls or results):
        del fields["content"]["parts"]
        return [Message(role=role, content=_as_text(parts), extra={_EXTRA: fields})]
    others = [each for each in parts if _call_in(each) is None and _result_in(each) is None]
    said = _as_text(others) if others else ""
    return tool_messages(role, said, calls, results, (_EXTRA, fields))


def is_event(stored: StoredMessage) -> bool:
    """Return whether a message is that of an event, and not one of further results in it."""
    return is_whole(stored.message, _EXTRA)


def as_event(stored: StoredMessage, thread_id: str) -> Event:
    """Return the event of a message; a message that others have sent becomes an event, too.

    Raises:
        CorruptRecord: the message does not hold the fields of an event.
    """
    content = stored.message.content
    fields = stored.message.extra.get(_EXTRA) or _fields_of_other(stored)
    try:
        if content != "" and "content" in fields and "parts" not in fields["content"]:
            fields = {**fields, "content": {**fields["content"], "parts": _as_parts(content)}}
        return Event.model_validate(fields)
    except (ValidationError, TypeError) as error:
        where = f"message {stored.cursor} of thread {thread_id!r}"
        raise CorruptRecord(
            where, f"it is not an event of ADK: {error}", "find out which program wrote it"
        ) from error


def _call_in(part: Any) -> ToolCall | None:
    match part:
        case {"function_call": {"id": str(id), "name": str(name), **rest}}:
            return ToolCall(id=id, name=name, arguments=arguments_of(rest.get("args")))
        case _:
            return None


def _result_in(part: Any) -> Result | None:
    match part:
        case {"function_response": {"id": str(id), **rest}}:
            return Result(id, text_of(rest.get("response")))
        case _:
            return None


def _fields_of_other(stored: StoredMessage) -> dict[str, Any]:
    message = stored.message
    return {
        "author": message.role,
        "id": message.id or f"message-{stored.cursor}",
        "timestamp": (stored.committed_at or 0) / 1000,
        "content": {"role": "user" if message.role == "user" else "model"},
    }


def _as_text(parts: list[Json]) -> str | list[Json]:
    """Return the text of parts that are one text, so that others can read it; else the parts.

    An empty text stays a part, as "" stands for a content without parts.
    """
    match parts:
        case [{"text": str(text), **rest}] if text and not rest:
            return text
        case _:
            return parts


def _as_parts(content: str | list[Json]) -> list[Json]:
    return [{"text": content}] if isinstance(content, str) else content
