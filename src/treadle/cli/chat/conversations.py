"""A conversation of the OpenAI chat format, read into a thread and written back the same.

`id` is the thread's id, `messages` its messages; further fields stay in the metadata's `extra`.
What only Treadle knows (owner, parent, state, patches) is written under `treadle`, when there is
any.
"""

import hashlib
from typing import Any, cast

import msgspec

from treadle.cli.chat.messages import read_message, write_message
from treadle.cli.chat.strict import as_list, as_object, differing
from treadle.cli.chat.tool_calls import KEPT
from treadle.core.codec import Json, SortedModel, checked, from_plain, to_plain
from treadle.core.ids import check_id
from treadle.core.messages import Message
from treadle.core.patches import TrackedPatch
from treadle.core.threads import Thread, ThreadMetadata
from treadle.errors import InvalidValue


class _Own(SortedModel, frozen=True, kw_only=True):
    """What is written under `treadle`."""

    resource_id: str | None = None
    parent_thread_id: str | None = None
    state: Json = None
    patches: tuple[TrackedPatch, ...] = ()
    metadata: dict[str, Json] = msgspec.field(default_factory=dict)
    """Metadata whose names the conversation itself uses (`id`, `messages`, `treadle`)."""


_NAMES = frozenset({"id", "messages", "treadle"})
_KNOWN = frozenset({*_NAMES, *ThreadMetadata.__struct_fields__, KEPT})


def read_conversation(chat: Json, where: str = "conversation") -> Thread:
    """The thread of a conversation, checked: a store will take it.

    Raises:
        InvalidId, InvalidValue: it is none, or cannot be stored; the message names the place.
    """
    fields = as_object(chat, where)
    if "messages" not in fields:
        raise InvalidValue(where, "it has no messages; this reads the OpenAI chat format")
    thread_id = _read_id(fields)
    own = _read_own(fields, f"{where}.treadle")
    extra = {key: item for key, item in fields.items() if key not in _KNOWN}
    thread = Thread(
        id=thread_id,
        resource_id=own.resource_id,
        parent_thread_id=own.parent_thread_id,
        messages=_read_messages(fields["messages"], thread_id),
        state=own.state,
        patches=own.patches,
        metadata=ThreadMetadata(extra={**extra, **own.metadata}),
    )
    kept = differing(fields, {**write_conversation(thread), **_of_names(fields)})
    if kept:
        metadata = ThreadMetadata(extra={**thread.metadata.extra, KEPT: kept})
        thread = msgspec.structs.replace(thread, metadata=metadata)
    if thread.parent_thread_id is not None:
        check_id("thread", thread.parent_thread_id)
    return checked(thread, where)


def write_conversation(thread: Thread) -> dict[str, Json]:
    """The thread as a conversation."""
    extra = {key: item for key, item in thread.metadata.extra.items() if key != KEPT}
    kept = thread.metadata.extra.get(KEPT)
    chat: dict[str, Json] = {"id": thread.id}
    chat |= {key: item for key, item in extra.items() if key not in _NAMES}
    chat |= cast("dict[str, Any]", kept) if isinstance(kept, dict) else {}
    own = _Own(
        resource_id=thread.resource_id,
        parent_thread_id=thread.parent_thread_id,
        state=thread.state,
        patches=thread.patches,
        metadata={key: item for key, item in extra.items() if key in _NAMES},
    )
    if own != _Own():
        chat["treadle"] = to_plain(own)
    chat["messages"] = [
        write_message(message, message_id(thread.id, position))
        for position, message in enumerate(thread.messages)
    ]
    return chat


def message_id(thread_id: str, position: int) -> str:
    """The id that a message without one gets: always the same, so that importing again skips it."""
    return f"{thread_id}-{position}"


def _read_id(fields: dict[str, Json]) -> str:
    value = fields.get("id")
    if value is not None:
        return check_id("thread", value)
    digest = hashlib.sha256(msgspec.json.encode(fields, order="sorted"))
    return f"chat-{digest.hexdigest()[:32]}"


def _read_messages(value: Json, thread_id: str) -> tuple[Message, ...]:
    messages: list[Message] = []
    seen: dict[str | None, int] = {}
    for position, chat in enumerate(as_list(value, "messages")):
        where = f"messages[{position}]"
        message = read_message(chat, message_id(thread_id, position), where)
        first = seen.setdefault(message.id, position)
        if first != position:
            raise InvalidValue(f"{where}.id", f"{message.id!r} is the id of messages[{first}] too")
        messages.append(message)
    return tuple(messages)


def _read_own(fields: dict[str, Json], where: str) -> _Own:
    plain = as_object(fields.get("treadle", {}), where)
    try:
        own = from_plain(_Own, plain)
    except msgspec.ValidationError as error:
        raise InvalidValue(where, str(error)) from error
    if own.extra:
        unknown = ", ".join(sorted(own.extra))
        raise InvalidValue(where, f"this Treadle does not know {unknown}; upgrade, or leave it out")
    return own


def _of_names(fields: dict[str, Json]) -> dict[str, Json]:
    return {key: item for key, item in fields.items() if key in _NAMES}
