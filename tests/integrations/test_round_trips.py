"""Every thread that can be stored comes back from the chat format, and every file from a thread."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import treadle
from treadle import Message, Thread, ThreadMetadata, ToolCall
from treadle.cli.json_lines import Good, read_lines
from treadle.core.codec import checked, encode
from treadle.core.escaping import harmless_json
from treadle.core.limits import DEPTH
from treadle.core.message_times import trimmed
from treadle.errors import InvalidId, InvalidValue
from treadle.integrations._messages import read_message, write_message
from treadle.integrations.openai_chat import read_conversation, write_conversation
from treadle.testing._harness.strategies.models import json_values, models, text

# Names that mean something in the chat format, or to us.
NAMES = st.sampled_from(
    [
        *("id", "role", "content", "tool_calls", "tool_call_id", "treadle", "openai_chat", "type"),
        *("messages", "function", "custom", "name", "arguments", "input", "visibility", "thread"),
        *("metadata", "created_at", "updated_at", "version", "function_call", "message", "x"),
    ]
)
VALUES = (
    json_values
    | st.sampled_from(["custom", "function", "tool", "developer", "t-0", 0, 1, 1.0, True])
    | st.dictionaries(NAMES, st.none() | text | st.integers(0, 9), max_size=3)
    | st.fixed_dictionaries({"fields": st.dictionaries(NAMES, json_values, max_size=2)})
    | st.fixed_dictionaries({"absent": st.lists(NAMES, max_size=2)})
)
IDS = st.sampled_from([None, "", "t-0", "t-1", "t-2", "t-0-call-0", "x"])


def extras(kind: type[msgspec.Struct]) -> st.SearchStrategy[dict[str, Any]]:
    known = {field.encode_name for field in msgspec.structs.fields(kind)}
    return st.dictionaries(NAMES.filter(lambda name: name not in known), VALUES, max_size=3)


@st.composite
def calls(draw: st.DrawFn) -> ToolCall:
    return ToolCall(
        id=draw(IDS) or "", name=draw(text), arguments=draw(VALUES), extra=draw(extras(ToolCall))
    )


@st.composite
def messages(draw: st.DrawFn) -> Message:
    return msgspec.structs.replace(
        draw(models(Message)),
        id=draw(IDS),
        content=draw(st.just("") | text | st.lists(VALUES, max_size=2)),
        tool_calls=draw(st.none() | st.lists(calls(), max_size=2).map(tuple)),
        extra=draw(extras(Message)),
    )


@st.composite
def threads(draw: st.DrawFn) -> Thread:
    thread = draw(models(Thread))
    metadata = msgspec.structs.replace(
        thread.metadata, extra=draw(extras(ThreadMetadata)), updated_at=None
    )
    return msgspec.structs.replace(
        thread,
        id="t",
        parent_thread_id=None,
        messages=tuple(draw(st.lists(messages(), max_size=3))),
        metadata=metadata,
        extra=draw(extras(Thread)),
    )


def through_a_line(thread: Thread, times: Sequence[int | None] = ()) -> Thread:
    """Export and import a thread with the times of its messages."""
    known = trimmed(times)
    line = harmless_json(msgspec.json.encode(write_conversation(thread, known)))
    [read] = read_lines([line])
    assert isinstance(read, Good), read
    assert read.head.message_times == known
    return read.head.thread


@given(threads(), st.data())
def test_every_thread_that_can_be_stored_is_read_as_it_was_written(
    thread: Thread, data: st.DataObject
) -> None:
    thread = checked(thread)
    times = data.draw(st.lists(st.none() | st.integers(0, 9), max_size=len(thread.messages)))
    read = through_a_line(thread, times)
    assert encode(read) == encode(thread)
    assert write_conversation(read) == write_conversation(thread)


CALL_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "id": st.none() | text | st.integers(0, 3),
        "type": st.sampled_from(["function", "custom", None]),
        "function": st.fixed_dictionaries(
            {"name": text},
            optional={"arguments": VALUES | st.just('{ "a": 1e2 }'), "strict": VALUES},
        ),
        "custom": st.fixed_dictionaries({"name": text, "input": text}, optional={"x": VALUES}),
        "index": VALUES,
    },
)
CHAT_MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool", "function", "developer", "system"])},
    optional={
        "content": st.none() | text | st.lists(VALUES, max_size=2) | VALUES,
        "tool_calls": st.none() | st.lists(CALL_FIELDS, max_size=2),
        "id": st.none() | text | st.integers(0, 3),
        "tool_call_id": st.none() | text | st.integers(0, 3),
        "treadle": st.fixed_dictionaries(
            {}, optional={"visibility": st.sampled_from(["all", "internal"]), "id": st.none()}
        ),
        "openai_chat": VALUES,
        "visibility": VALUES,
        "function_call": VALUES,
    },
)
CHATS = st.fixed_dictionaries(
    {"messages": st.lists(CHAT_MESSAGES, max_size=3)},
    optional={
        "id": st.sampled_from(["t", 5, None]),
        "openai_chat": VALUES,
        "created_at": VALUES,
        "tools": VALUES,
        "treadle": st.fixed_dictionaries({}, optional={"created_at": st.integers(0, 9)}),
    },
)


@given(CHATS)
def test_every_conversation_that_is_read_is_written_as_it_was(chat: dict[str, Any]) -> None:
    try:
        thread = read_conversation(chat)
    except (InvalidValue, InvalidId):
        return
    wanted = {**chat, "id": thread.id if chat.get("id") is None else chat["id"]}
    stored = treadle.decode(Thread, treadle.encode(thread))
    for each in (thread, stored):
        written = msgspec.json.encode(write_conversation(each), order="sorted")
        assert written == msgspec.json.encode(wanted, order="sorted")


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("levels", [50, 51, 99, DEPTH])
def test_deep_values_are_read_as_they_were_written(levels: int) -> None:
    calls = (ToolCall(id="c", name="f", arguments=nested(levels), extra={"function": 1}),)
    message = Message(role="assistant", content="", tool_calls=calls)
    plain = Message(role="assistant", content="", tool_calls=(ToolCall(id="c", name="f"),))
    plain = msgspec.structs.replace(
        plain, tool_calls=(ToolCall(id="c", name="f", arguments=nested(levels)),)
    )
    thread = checked(Thread(id="t", messages=(message, plain), state=nested(levels)))
    assert through_a_line(thread) == thread
    assert isinstance(through_a_line(thread).messages[1].tool_calls, tuple)


@pytest.mark.parametrize(
    "kept",
    [
        {"absent": ["id"]},
        {"fields": {"id": "a/b"}},
        {"fields": {"treadle": {"thread": {"id": "u"}}}},
        {"fields": {"treadle": {"new": 1}, "messages": 3}},
    ],
)
def test_a_thread_whose_extra_looks_like_ours_is_read_as_it_was(kept: dict[str, Any]) -> None:
    thread = Thread(id="t", metadata=ThreadMetadata(extra={"openai_chat": kept}))
    assert through_a_line(thread) == thread


NATIVE: dict[str, Message] = {
    "no id": Message(role="user", content="hi"),
    "calls of a user": Message(role="user", content="", tool_calls=(ToolCall(id="1", name="f"),)),
    "no calls": Message(role="assistant", content="", tool_calls=()),
    "a call with a reserved name": Message(
        role="assistant",
        content="",
        tool_calls=(ToolCall(id="1", name="f", extra={"function": 1, "type": "x"}),),
    ),
    "a whole message in what looks like ours": Message(
        role="user",
        content="",
        extra={"openai_chat": {"fields": {"treadle": {"message": {"role": "user"}}}}},
    ),
    "reserved names": Message(
        role="user", content="", extra={"treadle": 1, "openai_chat": {"absent": ["role"]}}
    ),
}


@pytest.mark.parametrize("message", NATIVE.values(), ids=NATIVE)
def test_a_message_that_the_chat_format_cannot_express_is_read_as_it_was(message: Message) -> None:
    assert read_message(write_message(message, "t-0"), "t-0", "m") == message


def test_a_changed_message_with_its_whole_beside_it_is_refused() -> None:
    chat = write_message(NATIVE["reserved names"], "t-0")
    with pytest.raises(InvalidValue, match=r"m.treadle.message: it is not the message around it"):
        read_message({**chat, "content": "edited"}, "t-0", "m")


def test_a_changed_conversation_with_its_whole_beside_it_is_refused() -> None:
    chat = write_conversation(Thread(id="t", extra={"x": 1}))
    with pytest.raises(InvalidValue, match="it is not the conversation around it"):
        read_conversation({**chat, "title": "edited"})
    with pytest.raises(InvalidId):
        read_conversation({**chat, "id": "a/b", "treadle": {"thread": {"id": "a/b"}}})


def test_two_messages_whose_ids_would_collide_are_exported_and_imported() -> None:
    """A message has the id that another one, without any, would get."""
    thread = Thread(id="g", messages=(NATIVE["no id"], Message(id="g-0", role="user", content="")))
    assert through_a_line(thread) == thread
