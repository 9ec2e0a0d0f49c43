"""Conversations in the OpenAI chat format: read into threads, and written back unchanged.

A conversation is a JSON object (here `chat`) with a list of `messages`. Import one into a store,
and export it::

    thread = read_conversation(chat)
    await store.threads.create(thread)

    head = await store.threads.load(thread.id)
    assert write_conversation(head.thread) == chat

Nothing gets lost on the way, in either direction:

- Fields that Treadle has no name for are kept in `extra`, of the thread, the message or the tool
  call that they belong to.
- Fields that Treadle would write differently (`content: null`, the role `developer`, the spaces in
  a tool call's arguments) are kept unchanged, in `extra["openai_chat"]`.
- What the chat format has no name for (owner, parent, state, patches, visibility) is written to a
  field `treadle`, of the conversation or the message.
"""

import hashlib
from typing import Any, cast

import msgspec

from treadle.core.codec import Json, SortedModel, check_json, checked, from_plain, to_plain
from treadle.core.ids import check_id
from treadle.core.messages import Message, MessageMetadata, Role, ToolCall, Visibility
from treadle.core.patches import TrackedPatch
from treadle.core.threads import (
    AppendThread,
    CreateThread,
    Thread,
    ThreadChangeSet,
    ThreadHead,
    ThreadMetadata,
)
from treadle.errors import InvalidValue, shorten
from treadle.integrations.strict_json import read_json

__all__ = [
    "plan_import",
    "read_conversation",
    "read_message",
    "says_the_same",
    "write_conversation",
    "write_message",
]

_ORIGINALS = "openai_chat"
"""The key in `extra` for the original fields that the model alone would write differently."""

_ARGUMENTS_DEPTH = 50
"""Deeper arguments stay a text: otherwise the message around them could not be stored."""

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
EXPORTS = {"mapping": "ChatGPT", "chat_messages": "Claude", "conversations": "ShareGPT"}
"""Fields that only the conversations of other programs have."""

_CONVERSATION_FIELDS = frozenset({"id", "messages", "treadle"})
# `extra` is written beside a model's own fields, so it must not have a field of the same name.
# A conversation, message or tool call that has one keeps it among the originals.
_NOT_IN_THREAD = frozenset({*_CONVERSATION_FIELDS, *ThreadMetadata.__struct_fields__, _ORIGINALS})
_NOT_IN_MESSAGE = frozenset({*Message.__struct_fields__, "treadle", _ORIGINALS})
_NOT_IN_TOOL_CALL = frozenset({"id", "type", "function", "name", "arguments", _ORIGINALS})


class _TreadleFields(SortedModel, frozen=True, kw_only=True):
    """The field `treadle` of a conversation."""

    resource_id: str | None = None
    parent_thread_id: str | None = None
    state: Json = None
    patches: tuple[TrackedPatch, ...] = ()
    metadata: dict[str, Json] = msgspec.field(default_factory=dict)
    """Metadata with names that the conversation itself uses (`id`, `messages`, `treadle`)."""


def read_conversation(chat: Json, where: str = "conversation") -> Thread:
    """Return the thread of a conversation, checked so that a store will accept it.

    The thread's id is the conversation's `id`. Without one it is derived from the content, so that
    reading the same conversation again gives the same thread. Messages without an id get the
    thread's id and their index.

    Args:
        chat: the conversation, as JSON values.
        where: a name for the conversation, which begins the path in an error.

    Raises:
        InvalidId: an id is not allowed in Treadle.
        InvalidValue: it is not a conversation, or it cannot be stored; the error has the path of
            the wrong value.
    """
    fields = _as_object(chat, where)
    if "messages" not in fields:
        raise InvalidValue(where, _reason_without_messages(fields))
    thread_id = _read_id(fields, where)
    own = _read_own_fields(fields, f"{where}.treadle")
    extra = {key: item for key, item in fields.items() if key not in _NOT_IN_THREAD}
    thread = Thread(
        id=thread_id,
        resource_id=own.resource_id,
        parent_thread_id=own.parent_thread_id,
        messages=_read_messages(fields["messages"], thread_id),
        state=own.state,
        patches=own.patches,
        metadata=ThreadMetadata(extra={**extra, **own.metadata}),
    )
    read_above = {key: item for key, item in fields.items() if key in _CONVERSATION_FIELDS}
    if originals := _differing(fields, {**write_conversation(thread), **read_above}):
        metadata = ThreadMetadata(extra={**thread.metadata.extra, _ORIGINALS: originals})
        thread = msgspec.structs.replace(thread, metadata=metadata)
    if thread.parent_thread_id is not None:
        check_id("thread", thread.parent_thread_id)
    return checked(thread, where)


def write_conversation(thread: Thread) -> dict[str, Json]:
    """Return the thread as a conversation, the inverse of `read_conversation`."""
    extra = {key: item for key, item in thread.metadata.extra.items() if key != _ORIGINALS}
    originals = thread.metadata.extra.get(_ORIGINALS)
    chat: dict[str, Json] = {"id": thread.id}
    chat |= {key: item for key, item in extra.items() if key not in _CONVERSATION_FIELDS}
    chat |= cast("dict[str, Any]", originals) if isinstance(originals, dict) else {}
    own = _TreadleFields(
        resource_id=thread.resource_id,
        parent_thread_id=thread.parent_thread_id,
        state=thread.state,
        patches=thread.patches,
        metadata={key: item for key, item in extra.items() if key in _CONVERSATION_FIELDS},
    )
    if own != _TreadleFields():
        chat["treadle"] = to_plain(own)
    chat["messages"] = [
        write_message(message, _message_id(thread.id, index))
        for index, message in enumerate(thread.messages)
    ]
    return chat


def read_message(chat: Json, generated_id: str, where: str) -> Message:
    """Return a message of the chat format as Treadle's message.

    Args:
        chat: the message, as JSON values.
        generated_id: the id of the message if it has none of its own.
        where: a name for the message, which begins the path in an error.

    Raises:
        InvalidValue: it is not a message; the error has the path of the wrong value.
    """
    fields = _as_object(chat, where)
    own = _as_object(fields.get("treadle", {}), f"{where}.treadle")
    own_id = fields.get("id")
    message = Message(
        id=own_id if isinstance(own_id, str) and own_id else generated_id,
        role=_read_role(fields.get("role"), where),
        content=_read_content(fields, where),
        tool_calls=_read_tool_calls(fields.get("tool_calls"), f"{where}.tool_calls"),
        tool_call_id=_read_optional_text(fields.get("tool_call_id"), f"{where}.tool_call_id"),
        visibility=_read_visibility(own, f"{where}.treadle.visibility"),
        metadata=_read_metadata(own, f"{where}.treadle.metadata"),
        extra={key: item for key, item in fields.items() if key not in _NOT_IN_MESSAGE},
    )
    originals = _differing(fields, {**write_message(message, generated_id), "treadle": own})
    if message.tool_calls:
        originals.pop("tool_calls", None)  # each tool call keeps its own
    if not originals:
        return message
    return msgspec.structs.replace(message, extra={**message.extra, _ORIGINALS: originals})


def write_message(message: Message, generated_id: str | None) -> dict[str, Json]:
    """Return the message in the chat format; an id that equals `generated_id` is left out."""
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
    """Return True if both have the same role, content, tool calls and further fields.

    Ids, runs and the layout of JSON arguments do not count.
    """
    return _meaning(message) == _meaning(other)


def plan_import(thread: Thread, stored: ThreadHead | None) -> CreateThread | AppendThread | None:
    """Return the command that adds to a store what it lacks of `thread`.

    It creates the thread, or appends the messages that the stored thread does not have yet. None
    means that nothing is missing.

    Raises:
        InvalidValue: the stored thread is another conversation.
    """
    if stored is None:
        return CreateThread(thread=thread)
    present = stored.thread.messages
    for index, (ours, theirs) in enumerate(zip(present, thread.messages, strict=False)):
        if not says_the_same(ours, theirs):
            reason = f"the stored thread {thread.id!r} has another message there; use another id"
            raise InvalidValue(f"messages[{index}]", reason)
    missing = thread.messages[len(present) :]
    if not missing:
        return None
    known = {message.id for message in present}
    # An append skips a message with a known id, so this one would be lost without a word.
    taken = [message.id for message in missing if message.id in known]
    if taken:
        reason = f"the stored thread {thread.id!r} already has a message {taken[0]!r}"
        raise InvalidValue("messages", reason)
    changes = ThreadChangeSet(messages=missing)
    return AppendThread(thread_id=thread.id, changes=changes, expected=stored.version)


# --- conversations ------------------------------------------------------------------------------


def _message_id(thread_id: str, index: int) -> str:
    # The same each time, so that importing a conversation again does not add its messages again.
    return f"{thread_id}-{index}"


def _read_id(fields: dict[str, Json], where: str) -> str:
    value = fields.get("id")
    if value is not None:
        return check_id("thread", value)
    check_json(fields, where)
    digest = hashlib.sha256(msgspec.json.encode(fields, order="sorted"))
    return f"chat-{digest.hexdigest()[:32]}"


def _reason_without_messages(fields: dict[str, Json]) -> str:
    for field, program in EXPORTS.items():
        if field in fields:
            return f"it is a conversation of {program}; convert it to the OpenAI chat format first"
    return "it has no messages; this reads the OpenAI chat format"


def _read_messages(value: Json, thread_id: str) -> tuple[Message, ...]:
    messages: list[Message] = []
    seen: dict[str | None, int] = {}
    for index, chat in enumerate(_as_list(value, "messages")):
        where = f"messages[{index}]"
        message = read_message(chat, _message_id(thread_id, index), where)
        first = seen.setdefault(message.id, index)
        if first != index:
            raise InvalidValue(f"{where}.id", f"messages[{first}] has the id {message.id!r} too")
        messages.append(message)
    return tuple(messages)


def _read_own_fields(fields: dict[str, Json], where: str) -> _TreadleFields:
    plain = _as_object(fields.get("treadle", {}), where)
    try:
        own = from_plain(_TreadleFields, plain)
    except msgspec.ValidationError as error:
        raise InvalidValue(where, str(error)) from error
    if own.extra:
        unknown = ", ".join(sorted(own.extra))
        reason = f"this version of Treadle does not know {unknown}; upgrade, or remove it"
        raise InvalidValue(where, reason)
    return own


# --- messages -----------------------------------------------------------------------------------


def _read_role(role: Json, where: str) -> Role:
    known = _ROLES.get(role) if isinstance(role, str) else None
    if known is None:
        names = ", ".join(_ROLES)
        found = repr(role) if isinstance(role, str) else _kind_of(role)
        raise InvalidValue(f"{where}.role", f"it must be one of {names}, not {found}")
    return known


def _read_content(fields: dict[str, Json], where: str) -> str | list[Json]:
    content = fields.get("content")
    if isinstance(content, str | list):
        return content
    if content is None and fields.get("role") == "assistant":
        return ""
    reason = f"it must be a text or a list of parts, not {_kind_of(content)}"
    raise InvalidValue(f"{where}.content", reason)


def _read_tool_calls(calls: Json, where: str) -> tuple[ToolCall, ...] | None:
    if calls is None or calls == []:
        return None
    return tuple(
        _read_tool_call(call, f"{where}[{index}]")
        for index, call in enumerate(_as_list(calls, where))
    )


def _read_optional_text(value: Json, where: str) -> str | None:
    return None if value is None else _as_text(value, where)


def _read_visibility(own: dict[str, Json], where: str) -> Visibility:
    match own.get("visibility", "all"):
        case "all":
            return "all"
        case "internal":
            return "internal"
        case other:
            raise InvalidValue(where, f"it must be 'all' or 'internal', not {shorten(other)}")


def _read_metadata(own: dict[str, Json], where: str) -> MessageMetadata | None:
    plain = own.get("metadata")
    if plain is None:
        return None
    try:
        return from_plain(MessageMetadata, _as_object(plain, where))
    except msgspec.ValidationError as error:
        raise InvalidValue(where, str(error)) from error


def _write_content(message: Message) -> dict[str, Json]:
    content = None if message.tool_calls and message.content == "" else message.content
    chat: dict[str, Json] = {"role": message.role, "content": content}
    if message.tool_calls:
        chat["tool_calls"] = [_write_tool_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        chat["tool_call_id"] = message.tool_call_id
    chat |= {key: item for key, item in message.extra.items() if key != _ORIGINALS}
    originals = message.extra.get(_ORIGINALS)
    if isinstance(originals, dict):
        for key, item in cast("dict[str, Any]", originals).items():
            if _is_current(key, item, message):
                chat[key] = item
    return chat


def _is_current(key: str, original: Json, message: Message) -> bool:
    """Return True if an original field still agrees with the message."""
    # A message may be read, changed and stored again. Then the change counts, not the original.
    match key:
        case "content":
            return not original and message.content == ""
        case "role":
            return _ROLES.get(original) == message.role
        case "tool_calls":
            return not message.tool_calls
        case "tool_call_id":
            return message.tool_call_id is None
        case _:
            return True


def _meaning(message: Message) -> bytes:
    calls = [(call.id, call.name, call.arguments) for call in message.tool_calls or ()]
    extra = {key: item for key, item in message.extra.items() if key != _ORIGINALS}
    meaning = (message.role, message.content, calls, message.tool_call_id, extra)
    return msgspec.json.encode(meaning, order="sorted")


# --- tool calls: `arguments` is a JSON text in the chat format, and the value itself in Treadle -


def _read_tool_call(chat: Json, where: str) -> ToolCall:
    fields = _as_object(chat, where)
    function = _as_object(fields.get("function"), f"{where}.function")
    if fields.get("type", "function") != "function":
        raise InvalidValue(f"{where}.type", f"it must be 'function', not {shorten(fields['type'])}")
    call = ToolCall(
        id=_as_text(fields.get("id"), f"{where}.id"),
        name=_as_text(function.get("name"), f"{where}.function.name"),
        arguments=_read_arguments(function.get("arguments")),
        extra={key: item for key, item in fields.items() if key not in _NOT_IN_TOOL_CALL},
    )
    written = _write_tool_call(call)
    originals = _differing(fields, {**written, "function": fields["function"]})
    if inner := _differing(function, written["function"]):
        originals["function"] = inner
    if not originals:
        return call
    return msgspec.structs.replace(call, extra={**call.extra, _ORIGINALS: originals})


def _write_tool_call(call: ToolCall) -> dict[str, Json]:
    originals = dict(_as_object(call.extra.get(_ORIGINALS, {}), _ORIGINALS))
    inner = dict(originals.pop("function", {}))
    if "arguments" in inner and _read_arguments(inner["arguments"]) != call.arguments:
        del inner["arguments"]  # the call has been changed since it was read
    # Sorted as stores keep them, so that a call is written alike before and after it was stored.
    arguments = msgspec.json.encode(call.arguments, order="sorted").decode()
    function = {"name": call.name, "arguments": arguments, **inner}
    extra = {key: item for key, item in call.extra.items() if key != _ORIGINALS}
    return {"id": call.id, "type": "function", "function": function, **extra, **originals}


def _read_arguments(raw: Json) -> Json:
    """Return the value of the JSON text `raw`, or `raw` itself if it is not JSON."""
    # Models write invalid JSON now and then. It is what they said, so it is kept as a text.
    if not isinstance(raw, str):
        return raw
    try:
        return read_json(raw, "arguments", _ARGUMENTS_DEPTH)
    except InvalidValue:
        return raw


# --- JSON values --------------------------------------------------------------------------------


def _as_object(value: Json, where: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise InvalidValue(where, f"it must be an object, not {_kind_of(value)}")
    return cast("dict[str, Json]", value)


def _as_list(value: Json, where: str) -> list[Json]:
    if not isinstance(value, list):
        raise InvalidValue(where, f"it must be a list, not {_kind_of(value)}")
    return value


def _as_text(value: Json, where: str) -> str:
    if not isinstance(value, str):
        raise InvalidValue(where, f"it must be a string, not {_kind_of(value)}")
    return value


def _kind_of(value: Json) -> str:
    """Return JSON's name for the type of `value`, with its article."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "an object"


def _differing(original: dict[str, Any], written: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of `original` that `written` lacks, or has with another value."""
    missing = object()
    return {key: item for key, item in original.items() if written.get(key, missing) != item}
