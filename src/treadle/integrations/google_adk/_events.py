"""Events of ADK as messages: the parts of the content are the message's, the rest is in `extra`."""

from typing import Any

from google.adk.events.event import Event
from pydantic import ValidationError

from treadle import CorruptRecord, Json, Message, Role, StoredMessage

_EXTRA = "google_adk"
"""The key in a message's `extra` for the fields of the event."""


def as_message(event: Event) -> Message:
    """Return the message of an event.

    It has no id: the store would skip a second event with the id of another.
    """
    fields: dict[str, Any] = event.model_dump(mode="json", exclude_none=True)
    content: str | list[Json] = ""
    if "parts" in fields.get("content", {}):
        content = _as_text(fields["content"].pop("parts"))
    role: Role = "user" if event.author == "user" else "assistant"
    return Message(role=role, content=content, extra={_EXTRA: fields})


def as_event(stored: StoredMessage, thread_id: str) -> Event:
    """Return the event of a message; a message that others have sent becomes an event, too.

    Raises:
        CorruptRecord: the message does not hold the fields of an event.
    """
    content = stored.message.content
    fields = stored.message.extra.get(_EXTRA) or _fields_of_other(stored)
    try:
        if content != "" and "content" in fields:
            fields = {**fields, "content": {**fields["content"], "parts": _as_parts(content)}}
        return Event.model_validate(fields)
    except (ValidationError, TypeError) as error:
        where = f"message {stored.cursor} of thread {thread_id!r}"
        raise CorruptRecord(
            where, f"it is not an event of ADK: {error}", "find out which program wrote it"
        ) from error


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
