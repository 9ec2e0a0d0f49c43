"""Conversations in the OpenAI chat format: read into threads, and written back unchanged.

`read_message` and `write_message` convert single messages, as a model gives and takes them,
`read_messages` and `write_messages` lists of them.

A conversation is a JSON object (here `chat`) with a list of `messages`. Import one into a store,
and export it::

    thread = read_conversation(chat)
    await store.threads.create(thread)

    head = await store.threads.load(thread.id)
    assert write_conversation(head.thread) == {**chat, "treadle": {"created_at": ...}}

Nothing gets lost on the way, in either direction:

- Fields that Treadle has no name for are kept in `extra`, of the thread, the message or the tool
  call that they belong to.
- Fields that Treadle would write differently (`content: null`, the role `developer`, the spaces in
  a tool call's arguments) are kept unchanged, in `extra["openai_chat"]`.
- What the chat format has no name for (owner, parent, state, patches, the time of creation,
  visibility) is written to a field `treadle`, of the conversation or the message. The times of
  messages are in that of the conversation: `{"message_times": [1700000000000, ...]}`, in unix
  milliseconds and in the order of the messages. `read_timed_conversation` reads them.
- A thread or a message that the chat format cannot express is in that field as a whole.

Not written is `updated_at`, the time of the store's last write. A conversation without an id gets
one, which is written.

These are read too, and come back as they were: the role `function`, custom tool calls, calls
without an id, arguments that are objects, results that are null, numbers or objects, and ids that
are numbers. A tool call of another type is refused, and so is a message that is neither text nor a
list of parts.
"""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import cast

import msgspec

from treadle.clock import new_id
from treadle.core.codec import Json, SortedModel, check_json, checked, from_plain, to_plain
from treadle.core.ids import check_id
from treadle.core.limits import Time, Version
from treadle.core.message_times import MessageTimes, padded, trimmed
from treadle.core.messages import Message, MessageMetadata
from treadle.core.patches import TrackedPatch
from treadle.core.restoring import RestoreThread
from treadle.core.thread_commands import AppendThread, CreateThread
from treadle.core.threads import Thread, ThreadChangeSet, ThreadHead, ThreadMetadata
from treadle.errors import InvalidId, InvalidValue
from treadle.integrations import _messages
from treadle.integrations._adapted import (
    as_chat,
    is_adapted,
    refuse_rest,
    says_nothing,
    with_chat_parts,
)
from treadle.integrations._blocks import is_layout
from treadle.integrations._images import as_openai
from treadle.integrations._messages import says_the_same
from treadle.integrations._originals import NONE, ORIGINALS, difference, kept_in, restored
from treadle.integrations._parts import ANTHROPIC_PARTS, EXPORTED, refuse_parts
from treadle.integrations._values import CHAT_DEPTH, as_id, as_list, as_object, same

__all__ = [
    "CHAT_DEPTH",
    "EXPORTS",
    "plan_import",
    "read_conversation",
    "read_message",
    "read_messages",
    "read_timed_conversation",
    "says_the_same",
    "write_conversation",
    "write_message",
    "write_messages",
]

EXPORTS = {"mapping": "ChatGPT", "chat_messages": "Claude", "conversations": "ShareGPT"}
"""Fields that only the conversations of other programs have."""

_TIMES = "message_times"
_FIELDS = frozenset({"id", "messages", "treadle"})
# `extra` is written beside a model's fields, so it must not have a field of the same name.
_NOT_IN_EXTRA = frozenset({*_FIELDS, *ThreadMetadata.__struct_fields__, ORIGINALS})


class _TreadleFields(SortedModel, frozen=True, kw_only=True):
    """The field `treadle` of a conversation."""

    resource_id: str | None = None
    parent_thread_id: str | None = None
    state: Json = None
    patches: tuple[TrackedPatch, ...] = ()
    created_at: Time | None = None
    version: Version | None = None
    version_timestamp: Time | None = None
    thread: dict[str, Json] | None = None
    """The whole thread without its messages, if the chat format cannot express it."""


def read_conversation(chat: Json, where: str = "conversation") -> Thread:
    """Return the thread of a conversation, checked so that a store will accept it.

    A thread has no times of its messages: `read_timed_conversation` returns them, too.

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
    return read_timed_conversation(chat, where).thread


def read_timed_conversation(chat: Json, where: str = "conversation") -> ThreadHead:
    """Return the thread of a conversation as `read_conversation`, with the times of its messages.

    It is at version 0. `message_times` are empty if the conversation has none.

    Raises:
        InvalidId, InvalidValue: as for `read_conversation`; or a time is no time in unix
            milliseconds, or there are more times than messages.
    """
    fields = as_object(chat, where)
    check_json(chat, where, CHAT_DEPTH)
    if "messages" not in fields:
        raise InvalidValue(where, _reason_without_messages(fields))
    untimed, plain = _without_times(fields, where)
    thread = _read_frame(untimed, where)
    messages = tuple(
        _messages.read_message(message, _message_id(thread.id, index), f"messages[{index}]")
        for index, message in enumerate(as_list(fields["messages"], "messages"))
    )
    thread = checked(msgspec.structs.replace(thread, messages=messages), where)
    times = _read_times(plain, len(messages), f"{where}.treadle.{_TIMES}")
    return ThreadHead(thread=thread, version=0, message_times=times)


def write_conversation(thread: Thread, message_times: MessageTimes = ()) -> dict[str, Json]:
    """Return the thread as a conversation, the inverse of `read_timed_conversation`.

    Args:
        thread: the thread.
        message_times: those of `ThreadHead`; they are left out if none is known.
    """
    messages = [
        _messages.write_message(message, _message_id(thread.id, index))
        for index, message in enumerate(thread.messages)
    ]
    frame = _write_frame(_frame_of(thread))
    if times := trimmed(message_times):
        own = cast("dict[str, Json]", frame.get("treadle", {}))
        frame["treadle"] = {**own, _TIMES: list(times)}
    return {**frame, "messages": messages}


def read_message(
    chat: Json,
    *,
    id: str | None = None,
    metadata: MessageMetadata | None = None,
    where: str = "message",
) -> Message:
    """Return a message of the chat format, such as the answer of a model, as Treadle's message.

    Args:
        chat: the message, as JSON values.
        id: the id of the message if it has none; the default is a new one.
        metadata: the run that the message comes from.
        where: a name for the message, which begins the path in an error.

    Raises:
        InvalidValue: it is not a message; the error has the path of the wrong value.
    """
    message = _messages.read_message(chat, id or new_id(), where)
    if metadata is not None:
        message = msgspec.structs.replace(message, metadata=metadata)
    return checked(message, where)


def read_messages(chats: Json, where: str = "messages") -> list[Message]:
    """Return the messages of a list in the chat format; those without an id get a new one.

    Raises:
        InvalidValue: one is not a message; the error has the path of the wrong value.
    """
    return [
        read_message(chat, where=f"{where}[{index}]")
        for index, chat in enumerate(as_list(chats, where))
    ]


def write_message(message: Message, where: str = "message") -> dict[str, Json]:
    """Return the message in the chat format, as a model takes it.

    Its id, visibility and run are left out, because a model refuses what it does not know;
    `write_conversation` leaves nothing out. The fields in `extra` are written, and an image of
    Anthropic's format in a message of the user is converted. Of a message that an adapter of a
    framework has written, texts, images and files are converted, and its own fields and its
    reasoning are left out.

    Args:
        message: the message.
        where: a name for the message, which begins the path in an error.

    Raises:
        InvalidValue: the chat format cannot express it, for example parts of Anthropic's format, or
            a part of a framework that is not converted.
    """
    refuse_rest(message, "the OpenAI chat format", where)
    message = as_openai(with_chat_parts(as_chat(message)))
    refuse_parts(message, ANTHROPIC_PARTS, "the OpenAI chat format", where)
    extra = {
        key: item
        for key, item in message.extra.items()
        if not (key in EXPORTED or is_layout(key, item))
    }
    bare = msgspec.structs.replace(message, id="", visibility="all", metadata=None, extra=extra)
    chat = _messages.write_message(bare, "")
    if "treadle" in chat:
        raise InvalidValue(where, "the OpenAI chat format cannot express this message")
    return chat


def write_messages(messages: Sequence[Message]) -> list[dict[str, Json]]:
    """Return the messages in the chat format, as a model takes them; see `write_message`.

    A message of an adapter that says nothing to a model, such as mere reasoning, is left out, and
    calls that a framework has made together, in several messages, are one message.

    Raises:
        InvalidValue: the chat format cannot express one of them; the error has its index.
    """
    chats: list[dict[str, Json]] = []
    for index, message in enumerate(messages):
        if says_nothing(message):
            continue
        chat = write_message(message, f"messages[{index}]")
        if is_adapted(message) and _are_calls(chat) and chats and chats[-1].get("tool_calls"):
            together = [*cast("list[Json]", chats[-1]["tool_calls"])]
            chats[-1]["tool_calls"] = [*together, *cast("list[Json]", chat["tool_calls"])]
        else:
            chats.append(chat)
    return chats


def _are_calls(chat: dict[str, Json]) -> bool:
    """Return whether a message of the chat format is calls of tools, and nothing else."""
    is_bare = chat.keys() == {"role", "content", "tool_calls"}
    return is_bare and chat["content"] is None


def plan_import(
    head: ThreadHead, stored: ThreadHead | None
) -> tuple[CreateThread | RestoreThread | AppendThread, ...]:
    """Return the commands that add to a store what it lacks of a thread, for one commit.

    They create the thread, or append the messages that the stored thread does not have yet; none
    if nothing is missing. A message whose time is known keeps it, and the thread has changed at the
    last of these times. Without any, all messages get the time of the commit.

    Args:
        head: the thread, with the times of its messages; of `read_timed_conversation`, for example.
        stored: what the store has under its id.

    Raises:
        InvalidValue: the stored thread is another conversation.
    """
    thread = head.thread
    if stored is None:
        return _created(head)
    present = stored.thread.messages
    for index, (ours, theirs) in enumerate(zip(present, thread.messages, strict=False)):
        if not says_the_same(ours, theirs):
            reason = f"the stored thread {thread.id!r} has another message there; use another id"
            raise InvalidValue(f"messages[{index}]", reason)
    missing = thread.messages[len(present) :]
    known = {message.id for message in present}
    for message in missing:
        # An append skips a message with a known id, so this one would be lost without a word.
        if message.id is not None and message.id in known:
            reason = f"the stored thread {thread.id!r} already has a message {message.id!r}"
            raise InvalidValue("messages", reason)
        known.add(message.id)
    times = padded(head.message_times, len(thread.messages))[len(present) :]
    return tuple(_appended(thread.id, missing, times, stored.version))


def _created(head: ThreadHead) -> tuple[CreateThread | RestoreThread | AppendThread, ...]:
    """A thread that comes with times is restored; that it is created keeps others' from harm."""
    created = CreateThread(thread=head.thread)
    known = [time for time in head.message_times if time is not None]
    if not known:
        return (created,)
    metadata = head.thread.metadata
    begun = min(known) if metadata.created_at is None else metadata.created_at
    metadata = msgspec.structs.replace(metadata, created_at=begun, updated_at=max(known))
    timed = msgspec.structs.replace(head.thread, metadata=metadata)
    return created, RestoreThread(head=msgspec.structs.replace(head, thread=timed))


def _appended(
    thread_id: str, messages: Sequence[Message], times: MessageTimes, version: int
) -> Iterator[AppendThread]:
    """One append for the messages of each time, as a write has one time."""
    pairs = zip(messages, times, strict=True)
    for number, (time, group) in enumerate(groupby(pairs, key=lambda pair: pair[1])):
        changes = ThreadChangeSet(messages=tuple(message for message, _ in group))
        yield AppendThread(
            thread_id=thread_id, changes=changes, expected=version + number, now=time
        )


# --- the times of messages ------------------------------------------------------------------------


def _without_times(fields: dict[str, Json], where: str) -> tuple[dict[str, Json], Json]:
    """Return a conversation without its times, which its thread does not have, and the times."""
    own = as_object(fields.get("treadle", {}), f"{where}.treadle")
    if _TIMES not in own:
        return fields, None
    rest = {key: item for key, item in own.items() if key != _TIMES}
    untimed = {key: item for key, item in fields.items() if key != "treadle"}
    return (untimed | {"treadle": rest} if rest else untimed), own[_TIMES]


def _read_times(plain: Json, count: int, where: str) -> MessageTimes:
    if plain is None:
        return ()
    try:
        times = msgspec.convert(plain, tuple[Time | None, ...])
    except msgspec.ValidationError as error:
        raise InvalidValue(where, f"{error}; times are in unix milliseconds") from error
    if len(times) > count:
        raise InvalidValue(where, f"it has {len(times)} times, and there are {count} messages")
    return trimmed(times)


# --- a conversation without its messages: its frame -----------------------------------------------


def _frame_of(thread: Thread) -> Thread:
    metadata = msgspec.structs.replace(thread.metadata, updated_at=None)
    return msgspec.structs.replace(thread, messages=(), metadata=metadata)


def _read_frame(fields: dict[str, Json], where: str) -> Thread:
    frame = {key: item for key, item in fields.items() if key != "messages"}
    if frame.get("id") is None:
        frame["id"] = _derived_id(fields)
    own = _read_own_fields(frame, f"{where}.treadle")
    if own.thread is not None:
        return _read_exact_frame(frame, own.thread, f"{where}.treadle.thread")
    thread = _read(frame, where)
    if not same(_write(thread), frame):
        raise InvalidValue(where, "Treadle cannot write it back unchanged, so it is not read")
    return thread


def _write_frame(thread: Thread) -> dict[str, Json]:
    frame = _write(thread)
    try:
        is_exact = same(_read(frame, "conversation"), thread)
    except (InvalidId, InvalidValue):
        is_exact = False
    return frame if is_exact else _with_exact(frame, thread)


def _with_exact(frame: dict[str, Json], thread: Thread) -> dict[str, Json]:
    own = frame.get("treadle")
    known = cast("dict[str, Json]", own) if isinstance(own, dict) else {}
    return {**frame, "treadle": {**known, "thread": to_plain(thread)}}


def _read_exact_frame(frame: dict[str, Json], plain: dict[str, Json], where: str) -> Thread:
    try:
        thread = checked(from_plain(Thread, plain), where)
    except msgspec.ValidationError as error:
        raise InvalidValue(where, str(error)) from error
    check_id("thread", thread.id)
    if thread.messages or not same(_with_exact(_write(thread), thread), frame):
        reason = "it is not the conversation around it; remove it, or change both"
        raise InvalidValue(where, reason)
    return thread


def _read(frame: dict[str, Json], where: str) -> Thread:
    thread = _interpret(frame, where)
    kept = difference(frame, _write_plainly(thread))
    if kept == NONE:
        return thread
    extra = {**thread.metadata.extra, ORIGINALS: kept.as_json()}
    return msgspec.structs.replace(
        thread, metadata=msgspec.structs.replace(thread.metadata, extra=extra)
    )


def _interpret(frame: dict[str, Json], where: str) -> Thread:
    own = _read_own_fields(frame, f"{where}.treadle")
    if own.thread is not None:
        raise InvalidValue(f"{where}.treadle.thread", "the thread is read from it alone")
    if own.parent_thread_id is not None:
        check_id("thread", own.parent_thread_id)
    return Thread(
        id=check_id("thread", as_id(frame.get("id"), f"{where}.id")),
        resource_id=own.resource_id,
        parent_thread_id=own.parent_thread_id,
        state=own.state,
        patches=own.patches,
        metadata=ThreadMetadata(
            created_at=own.created_at,
            version=own.version,
            version_timestamp=own.version_timestamp,
            extra={key: item for key, item in frame.items() if key not in _NOT_IN_EXTRA},
        ),
    )


def _read_own_fields(frame: dict[str, Json], where: str) -> _TreadleFields:
    plain = as_object(frame.get("treadle", {}), where)
    try:
        own = from_plain(_TreadleFields, plain)
    except msgspec.ValidationError as error:
        raise InvalidValue(where, str(error)) from error
    if own.extra:
        unknown = ", ".join(sorted(own.extra))
        reason = f"this version of Treadle does not know {unknown}; upgrade, or remove it"
        raise InvalidValue(where, reason)
    return own


def _write(thread: Thread) -> dict[str, Json]:
    bare = _without_originals(thread)

    def reads_the_same(frame: dict[str, Json]) -> bool:
        if "messages" in frame:  # they are written beside the frame
            return False
        try:
            return same(_without_originals(_interpret(frame, "conversation")), bare)
        except (InvalidId, InvalidValue):
            return False

    return restored(_write_plainly(thread), kept_in(thread.metadata.extra), reads_the_same)


def _write_plainly(thread: Thread) -> dict[str, Json]:
    extra = thread.metadata.extra.items()
    frame: dict[str, Json] = {"id": thread.id}
    frame |= {key: item for key, item in extra if key not in _NOT_IN_EXTRA}
    own = _TreadleFields(
        resource_id=thread.resource_id,
        parent_thread_id=thread.parent_thread_id,
        state=thread.state,
        patches=thread.patches,
        created_at=thread.metadata.created_at,
        version=thread.metadata.version,
        version_timestamp=thread.metadata.version_timestamp,
    )
    if not same(own, _TreadleFields()):
        frame["treadle"] = to_plain(own)
    return frame


def _without_originals(thread: Thread) -> Thread:
    if kept_in(thread.metadata.extra) == NONE:
        return thread
    extra = {key: item for key, item in thread.metadata.extra.items() if key != ORIGINALS}
    return msgspec.structs.replace(
        thread, metadata=msgspec.structs.replace(thread.metadata, extra=extra)
    )


def _derived_id(fields: dict[str, Json]) -> str:
    digest = hashlib.sha256(msgspec.json.encode(fields, order="sorted"))
    return f"chat-{digest.hexdigest()[:32]}"


def _message_id(thread_id: str, index: int) -> str:
    # The same each time, so that importing a conversation again does not add its messages again.
    return f"{thread_id}-{index}"


def _reason_without_messages(fields: dict[str, Json]) -> str:
    for field, program in EXPORTS.items():
        if field in fields:
            return f"it is a conversation of {program}; convert it to the OpenAI chat format first"
    return "it has no messages; this reads the OpenAI chat format"
