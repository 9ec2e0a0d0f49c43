"""Anthropic's Messages format: a request's `system` and `messages`, read and written unchanged.

`write_messages` makes of a history what `client.messages.create` takes, and `read_message` reads
an answer of a model::

    reply = await client.messages.create(model=..., max_tokens=..., **write_messages(history))
    content = [block.model_dump(exclude_unset=True) for block in reply.content]
    answer = read_message({"role": "assistant", "content": content})

The format differs from a thread in three ways:

- The system prompt stands before the messages: each of its texts is a message with role `system`.
- A call of a tool is a block `tool_use` of the assistant's content: it becomes a `ToolCall`, whose
  `extra` has the further fields of the block.
- The result of a tool is a block `tool_result` of the user's content: it becomes a message with
  role `tool`, whose `extra` has the further fields of the block, such as `is_error`. So a message
  of the user with several results becomes several messages, and results that follow each other are
  written into one.

All other blocks (images, thinking, blocks that did not exist when this was written) are the
message's `content` as they are; a single block of text is a text. Where the layout of what was read
differs from what would be written, `extra["anthropic_messages"]` keeps it. Every function refuses
what it could not convert back.
"""

from collections.abc import Iterator, Sequence
from typing import TypedDict

import msgspec

from treadle.clock import new_id
from treadle.core.codec import Json, check_json, checked
from treadle.core.messages import Message, MessageMetadata
from treadle.errors import InvalidValue, shorten
from treadle.integrations._adapted import (
    as_chat,
    refuse_rest,
    says_nothing,
    with_chat_parts,
)
from treadle.integrations._blocks import (
    blocks_of,
    fields_of,
    further_fields,
    layout_of,
    read_assistant,
    read_system,
    read_user,
    text_of,
    with_layout,
    write_blocks,
    write_content,
)
from treadle.integrations._images import as_anthropic
from treadle.integrations._parts import OPENAI_PARTS, refuse_parts
from treadle.integrations._values import CHAT_DEPTH, as_list, as_object, same

__all__ = ["Request", "read_message", "read_messages", "write_message", "write_messages"]


class Request(TypedDict, total=False):
    """The part of a request that is the conversation."""

    system: str | list[Json]
    """The system prompt; absent if no message has the role `system`."""
    messages: list[dict[str, Json]]


def read_message(
    chat: Json,
    *,
    id: str | None = None,
    metadata: MessageMetadata | None = None,
    where: str = "message",
) -> Message:
    """Return a message of the Messages format, such as the answer of a model.

    Args:
        chat: the message, as JSON values: its `role` and `content`.
        id: the id of the message; the default is a new one.
        metadata: the run that the message comes from.
        where: a name for the message, which begins the path in an error.

    Raises:
        InvalidValue: it is not a message, or it becomes several; the error has the path of the
            wrong value.
    """
    messages = _read_checked(chat, where)
    if len(messages) > 1:
        raise InvalidValue(where, f"it becomes {len(messages)} messages; use read_messages")
    return msgspec.structs.replace(messages[0], id=id or new_id(), metadata=metadata)


def read_messages(messages: Json, system: Json = None) -> list[Message]:
    """Return the messages of a request, with new ids; the inverse of `write_messages`.

    Args:
        messages: the request's `messages`.
        system: its `system`, a text or a list of text blocks.

    Raises:
        InvalidValue: one is not a message; the error has the path of the wrong value.
    """
    check_json(system, "system", CHAT_DEPTH)
    found = [checked(message, "system") for message in read_system(system)]
    if not same(_write(found).get("system"), system):
        raise InvalidValue("system", _UNREADABLE)
    for index, chat in enumerate(as_list(messages, "messages")):
        read = _read_checked(chat, f"messages[{index}]")
        if found and found[-1].role == read[0].role == "tool":
            read[0] = with_layout(read[0], joined=False)
        found += read
    return [msgspec.structs.replace(message, id=new_id()) for message in found]


def write_message(message: Message, where: str = "message") -> dict[str, Json]:
    """Return the message in the Messages format, as a model takes it.

    Its id, visibility and run are left out. The fields in `extra` are written, and an image of
    OpenAI's format is converted. A message that an adapter of a framework has written is converted
    as for `treadle.integrations.openai_chat.write_message`.

    Args:
        message: the message; its role is not `system`, see `write_messages`.
        where: a name for the message, which begins the path in an error.

    Raises:
        InvalidValue: the Messages format cannot express it.
    """
    if message.role == "system":
        reason = "the Messages format has no such role; write_messages makes a system prompt"
        raise InvalidValue(f"{where}.role", reason)
    message = _converted(message, where)
    _check_expressible(message, where)
    return _write_group([message])


def write_messages(messages: Sequence[Message]) -> Request:
    """Return the history as the `system` and `messages` of a request; see `write_message`.

    Raises:
        InvalidValue: the format cannot express a message, such as a system message behind others;
            the error has its index.
    """
    places = [index for index, message in enumerate(messages) if not says_nothing(message)]
    messages = [_converted(messages[index], f"messages[{index}]") for index in places]
    before = "system"
    for index, message in zip(places, messages, strict=True):
        if message.role == "system" != before:
            reason = (
                "the system prompt stands before all messages; use the role user, or leave it out"
            )
            raise InvalidValue(f"messages[{index}].role", reason)
        _check_expressible(message, f"messages[{index}]")
        before = message.role
    request = _write(messages)
    if not _say_the_same(_read(request), messages):
        raise InvalidValue("messages", "the Messages format cannot express them together")
    return request


def _converted(message: Message, where: str) -> Message:
    refuse_rest(message, _FORMAT, where)
    return as_anthropic(with_chat_parts(as_chat(message)))


_FORMAT = "Anthropic's Messages format"
_UNREADABLE = "Treadle cannot write it back unchanged, so it is not read"


# --- reading --------------------------------------------------------------------------------------


def _read_checked(chat: Json, where: str) -> list[Message]:
    check_json(chat, where, CHAT_DEPTH)
    messages = [checked(message, where) for message in _read_one(chat, where)]
    if not same(_write_group(messages), chat):
        raise InvalidValue(where, _UNREADABLE)
    return messages


def _read_one(chat: Json, where: str) -> list[Message]:
    fields = as_object(chat, where)
    content = fields.get("content")
    if not isinstance(content, str):
        content = as_list(content, f"{where}.content")
    extra = further_fields(fields, {"role", "content"}, Message, where)
    match fields.get("role"):
        case "assistant":
            return [read_assistant(content, extra, f"{where}.content")]
        case "user":
            return read_user(content, extra, f"{where}.content")
        case other:
            reason = f"it must be 'user' or 'assistant', not {shorten(other)}"
            raise InvalidValue(f"{where}.role", reason)


def _read(request: Request) -> list[Message]:
    chats = enumerate(request.get("messages", ()))
    spoken = [each for index, chat in chats for each in _read_one(chat, f"messages[{index}]")]
    return [*read_system(request.get("system")), *spoken]


# --- writing --------------------------------------------------------------------------------------


def _write(messages: Sequence[Message]) -> Request:
    system = [message for message in messages if message.role == "system"]
    spoken = [message for message in messages if message.role != "system"]
    written = [_write_group(group) for group in _groups(spoken)]
    return (
        Request(system=_write_system(system), messages=written)
        if system
        else Request(messages=written)
    )


def _write_system(messages: Sequence[Message]) -> str | list[Json]:
    if len(messages) == 1:
        return write_content(messages[0])
    return [block for message in messages for block in blocks_of(message.content)]


def _groups(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """Yield the messages that are written as one."""
    group: list[Message] = []
    for message in messages:
        if group and not _joins(group[-1], message):
            yield group
            group = []
        group.append(message)
    if group:
        yield group


def _joins(before: Message, message: Message) -> bool:
    roles = before.role, message.role
    if "assistant" in roles or roles == ("user", "user"):
        return False
    if message.role == "user" and fields_of(message.extra):
        return False  # these are fields of a whole message
    joined = layout_of(message).joined
    return roles == ("tool", "tool") if joined is None else joined


def _write_group(group: Sequence[Message]) -> dict[str, Json]:
    first = group[0]
    role = "assistant" if first.role == "assistant" else "user"
    fields = {} if first.role == "tool" else fields_of(first.extra)
    content = (
        write_content(first)
        if len(group) == 1
        else [block for message in group for block in write_blocks(message)]
    )
    return {**fields, "role": role, "content": content}


def _check_expressible(message: Message, where: str) -> None:
    refuse_parts(message, OPENAI_PARTS, _FORMAT, where)
    for index, call in enumerate(message.tool_calls or ()):
        if not isinstance(call.arguments, dict):
            reason = "the input of a tool is an object in Anthropic's Messages format"
            raise InvalidValue(f"{where}.tool_calls[{index}].arguments", reason)
    if message.role == "tool" and message.tool_call_id is None:
        raise InvalidValue(f"{where}.tool_call_id", "it names the call, and must not be None")
    try:
        is_exact = _say_the_same(_read(_write([message])), [message])
    except InvalidValue:
        is_exact = False
    if not is_exact:
        reason = f"Anthropic's Messages format cannot express this {message.role} message"
        raise InvalidValue(where, reason)


def _say_the_same(some: Sequence[Message], others: Sequence[Message]) -> bool:
    return same([*map(_meaning, some)], [*map(_meaning, others)])


def _meaning(message: Message) -> object:
    calls = [
        (call.id, call.name, call.arguments, fields_of(call.extra))
        for call in message.tool_calls or ()
    ]
    content = text_of(message.content) or ""
    return message.role, content, calls, message.tool_call_id, fields_of(message.extra)
