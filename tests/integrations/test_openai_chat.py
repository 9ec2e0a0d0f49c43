"""The OpenAI chat format: conversations and messages are read, and written back unchanged."""

import json
import math
import os
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

import treadle
from treadle.core.restoring import RestoreThread
from treadle.core.thread_commands import AppendThread, CreateThread
from treadle.core.threads import ThreadHead
from treadle.errors import InvalidId, InvalidValue
from treadle.integrations._messages import read_message, write_message
from treadle.integrations.openai_chat import (
    plan_import,
    read_conversation,
    read_timed_conversation,
    says_the_same,
    write_conversation,
)
from treadle.integrations.strict_json import read_json

PROJECT = Path(__file__).parents[2]
SHIPPED = PROJECT / "src" / "treadle" / "cli" / "demo" / "conversations.jsonl"
SHARED = Path(os.environ.get("TREADLE_SHARED", PROJECT.parent / "shared"))
AIRLINE = SHARED / "data" / "airline_conversations.jsonl"


def chat_of(thread_id: str | None, *contents: str, **fields: Any) -> dict[str, Any]:
    """Return a conversation in which the user says `contents`."""
    messages = [{"role": "user", "content": content} for content in contents]
    known = {} if thread_id is None else {"id": thread_id}
    return {**known, **fields, "messages": messages}


def check_round_trip(path: Path) -> int:
    chats = [json.loads(line) for line in path.read_bytes().splitlines()]
    for chat in chats:
        thread = read_conversation(chat)
        assert write_conversation(thread) == chat
        stored = treadle.decode(treadle.Thread, treadle.encode(thread))
        assert write_conversation(stored) == chat
        assert read_conversation(write_conversation(stored)) == thread
    return len(chats)


def test_the_shipped_conversations_come_back_unchanged() -> None:
    assert check_round_trip(SHIPPED) == 36


@pytest.mark.skipif(not AIRLINE.exists(), reason=f"{AIRLINE} is not on this machine")
def test_real_conversations_come_back_unchanged() -> None:
    assert check_round_trip(AIRLINE) == 100


@pytest.mark.parametrize(
    "fields",
    [
        {"title": "Brakes", "reward": 0.0, "tags": ["a", {"b": None}]},
        {"created_at": "2024-01-01", "version": "two", "updated_at": 3},
        {"openai_chat": {"a": 1}, "state": 1, "resource_id": "not ours"},
        {"treadle": {"resource_id": "u1", "parent_thread_id": "p1", "state": {"x": 1}}},
        {"treadle": {"created_at": 5, "version": 3, "version_timestamp": 0}},
        {"treadle": {}, "reward": 1, "n": 1.0, "done": True},
    ],
)
def test_unknown_fields_come_back_unchanged(fields: dict[str, Any]) -> None:
    chat = chat_of("t1", "hi", **fields)
    thread = read_conversation(chat)
    assert write_conversation(thread) == chat
    assert write_conversation(treadle.decode(treadle.Thread, treadle.encode(thread))) == chat


def test_fields_that_only_treadle_has_come_back_unchanged() -> None:
    thread = treadle.Thread(
        id="t1",
        resource_id="user-1",
        parent_thread_id="t0",
        messages=(treadle.Message.user("hi"), treadle.Message.internal_system("quiet")),
        state={"n": 1},
        patches=(
            treadle.TrackedPatch(
                patch=treadle.decode(
                    treadle.Patch, '{"ops": [{"op": "set", "path": ["n"], "value": 2}]}'
                )
            ),
        ),
        metadata=treadle.ThreadMetadata(extra={"title": "x", "id": "inner", "messages": 3}),
    )
    chat = json.loads(json.dumps(write_conversation(thread)))
    assert read_conversation(chat) == thread
    assert read_conversation(chat).rebuild_state() == {"n": 2}


def test_a_conversation_without_an_id_gets_one_from_its_content() -> None:
    chat = chat_of(None, "hi")
    thread = read_conversation(chat)
    assert thread.id.startswith("chat-")
    assert read_conversation(chat) == thread
    assert read_conversation(chat_of(None, "ho")).id != thread.id


def test_messages_without_an_id_get_the_same_one_each_time() -> None:
    thread = read_conversation(chat_of("t1", "a", "b"))
    assert [message.id for message in thread.messages] == ["t1-0", "t1-1"]


def test_two_messages_with_one_id_are_created_but_not_appended() -> None:
    """A store keeps both in a new thread, but skips the second one of an append."""
    message = {"role": "user", "content": "hi", "id": "same"}
    chat = {"id": "t", "messages": [message, message]}
    thread = read_conversation(chat)
    assert write_conversation(thread) == chat
    empty = read_conversation({"id": "t", "messages": []})
    with pytest.raises(InvalidValue, match="already has a message 'same'"):
        plan_import(ThreadHead(thread=thread, version=0), ThreadHead(thread=empty, version=0))


def test_ids_are_checked() -> None:
    with pytest.raises(InvalidId, match="must not contain"):
        read_conversation({"id": "../x", "messages": []})


def test_an_import_is_planned_as_what_the_store_lacks() -> None:
    head = read_timed_conversation(chat_of("a", "one", "two"))
    thread = head.thread
    assert plan_import(head, None) == (CreateThread(thread=thread),)
    assert plan_import(head, ThreadHead(thread=thread, version=3)) == ()
    shorter = ThreadHead(thread=read_conversation(chat_of("a", "one")), version=3)
    [command] = plan_import(head, shorter)
    assert isinstance(command, AppendThread)
    assert (command.expected, command.now) == (3, None)
    assert command.changes.messages == thread.messages[1:]
    with pytest.raises(InvalidValue, match="another message there"):
        plan_import(head, read_timed_conversation(chat_of("a", "two")))


def test_times_of_messages_are_read_and_written_beside_them() -> None:
    chat = chat_of("a", "one", "two", "three")
    timed = chat | {"treadle": {"created_at": 1, "message_times": [2, None, 3]}}
    head = read_timed_conversation(timed)
    assert head.message_times == (2, None, 3)
    assert head.thread.metadata.extra == {}
    assert write_conversation(head.thread, head.message_times) == timed
    assert read_conversation(timed) == head.thread
    only = chat | {"treadle": {"message_times": [2]}}
    head = read_timed_conversation(only)
    assert head.thread == read_conversation(chat)
    assert write_conversation(head.thread, head.message_times) == only
    assert read_timed_conversation(chat).message_times == ()


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ([1, 2, 3, 4], "it has 4 times, and there are 3 messages"),
        (["2025-01-01"], "Expected `int | null`, got `str`"),
        ([-1], "Expected `int` >= 0"),
        ([1.5], "Expected `int | null`, got `float`"),
        (7, "Expected `array`, got `int`"),
    ],
)
def test_times_that_are_none_are_refused(times: Any, reason: str) -> None:
    chat = chat_of("a", "one", "two", "three") | {"treadle": {"message_times": times}}
    with pytest.raises(InvalidValue, match=re.escape(reason)) as caught:
        read_timed_conversation(chat)
    assert caught.value.where == "conversation.treadle.message_times"


def test_an_import_with_times_is_planned_with_them() -> None:
    times = {"treadle": {"message_times": [5, 7, 7, None, 9]}}
    head = read_timed_conversation(chat_of("a", *"12345") | times)
    created, restored = plan_import(head, None)
    assert created == CreateThread(thread=head.thread)
    assert isinstance(restored, RestoreThread)
    assert restored.head.message_times == (5, 7, 7, None, 9)
    metadata = restored.head.thread.metadata
    assert (metadata.created_at, metadata.updated_at) == (5, 9)
    stored = ThreadHead(thread=read_conversation(chat_of("a", "1")), version=4)
    appends = [each for each in plan_import(head, stored) if isinstance(each, AppendThread)]
    found = [(each.expected, each.now, len(each.changes.messages)) for each in appends]
    assert found == [(4, 7, 2), (5, None, 1), (6, 9, 1)]


def test_a_new_message_with_the_id_of_a_stored_one_is_refused() -> None:
    stored = treadle.Thread(
        id="a", messages=(treadle.Message(id="a-1", role="user", content="one"),)
    )
    with pytest.raises(InvalidValue, match="already has a message 'a-1'"):
        plan_import(
            read_timed_conversation(chat_of("a", "one", "two")),
            ThreadHead(thread=stored, version=0),
        )


def call(arguments: Any = "{}", **fields: Any) -> dict[str, Any]:
    function = {"name": "search", "arguments": arguments}
    return {"id": "c1", "type": "function", "function": function, **fields}


def custom(given: Any, **fields: Any) -> dict[str, Any]:
    return {"id": "c2", "type": "custom", "custom": {"name": "sql", "input": given}, **fields}


def assistant(*calls: dict[str, Any], content: Any = None, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(calls), **fields}


@pytest.mark.parametrize(
    "chat",
    [
        {"role": "user", "content": "hi"},
        {"role": "user", "content": [{"type": "text", "text": "hi"}], "name": "odile"},
        {"role": "system", "content": ""},
        {"role": "developer", "content": "be brief"},
        {"role": "tool", "tool_call_id": "c1", "name": "search", "content": "[]"},
        {"role": "assistant", "content": "hello"},
        {"role": "assistant", "content": None, "refusal": "no"},
        {"role": "assistant", "content": "", "tool_calls": None, "function_call": None},
        {"role": "assistant", "content": "x", "tool_calls": []},
        {"role": "user", "content": "hi", "visibility": "secret", "metadata": [1]},
        {"role": "user", "content": "hi", "id": "mine", "openai_chat": 3},
        {"role": "user", "content": "hi", "id": 7, "tool_call_id": None},
        {"role": "user", "content": "hi", "treadle": {"visibility": "all"}},
        {"role": "user", "content": "hi", "treadle": {"id": None}},
        {"role": "assistant"},
        {"role": "assistant", "tool_calls": [call()]},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "1"}},
        {"role": "function", "name": "f", "content": "42"},
        {"role": "function", "name": "f", "content": None},
        {"role": "tool", "tool_call_id": 3, "content": {"rows": [1, 1.0, True]}},
        {"role": "tool", "content": 42},
        assistant(custom("SELECT 1")),
        assistant(custom('{"not": "parsed"}', index=1)),
        assistant({"function": {"name": "f"}}, {"id": None, "function": {"name": "g"}}),
        assistant(call(id=7), call(type=None)),
        assistant(call("[" * 100 + "]" * 100), call("[" * 101 + "]" * 101)),
        assistant(call()),
        assistant(call(), content=""),
        assistant(call(), content="let me look"),
        assistant(call('{"b":1,"a":[1.0,2]}')),
        assistant(call('{ "a" :  1e2 }')),
        assistant(call('{"a": ')),
        assistant(call("")),
        assistant(call('"text"')),
        assistant(call("null")),
        assistant(call('{"a": NaN}')),
        assistant(call('{"a": 123456789012345678901234567890}')),
        assistant(call("[" * 60 + "]" * 60)),
        assistant(call({"not": "a text"})),
        assistant(call(index=0, name="outer"), call(id="c2")),
        assistant({"id": "c1", "type": "function", "function": {"name": "f", "strict": True}})
        | {"tool_calls": [call() | {"function": {"name": "f", "arguments": "1", "strict": True}}]},
    ],
)
def test_a_message_of_a_conversation_is_written_back_unchanged(chat: dict[str, Any]) -> None:
    message = read_message(chat, "t-0", "message")
    assert write_message(message, "t-0") == chat
    stored = treadle.decode(treadle.Message, treadle.encode(message))
    assert stored == message
    assert write_message(stored, "t-0") == chat


@pytest.mark.parametrize(
    "message",
    [
        treadle.Message.user("hi"),
        treadle.Message.internal_system("quiet"),
        treadle.Message(role="user", content="", metadata=treadle.MessageMetadata(run_id="r1")),
        treadle.Message.assistant("", [treadle.ToolCall(id="1", name="f")]),
        treadle.Message.assistant("x", [treadle.ToolCall(id="1", name="f", arguments="text")]),
        treadle.Message.tool("1", [{"type": "text", "text": "ok"}]),
    ],
)
def test_a_treadle_message_survives_the_chat_format(message: treadle.Message) -> None:
    again = read_message(write_message(message, None), "given", "message")
    assert again == message


def test_arguments_are_stored_as_json_values() -> None:
    message = read_message(assistant(call('{"day": 3}')), "t-0", "message")
    assert message.tool_calls is not None
    assert message.tool_calls[0].arguments == {"day": 3}
    assert message.content == ""


def test_a_change_made_in_the_store_wins_over_the_original() -> None:
    message = read_message(assistant(call('{ "day": 3 }'), content=None), "t-0", "message")
    assert message.tool_calls is not None
    changed = msgspec.structs.replace(
        message,
        content="now with words",
        tool_calls=(msgspec.structs.replace(message.tool_calls[0], arguments={"day": 4}),),
    )
    written = write_message(changed, "t-0")
    assert written["content"] == "now with words"
    assert written["tool_calls"][0]["function"]["arguments"] == '{"day":4}'


@pytest.mark.parametrize(
    ("chat", "where", "reason"),
    [
        ("hi", "m", "an object, not a string"),
        ({"role": "bot", "content": ""}, "m.role", "not 'bot'"),
        ({"content": ""}, "m.role", "not null"),
        ({"role": "user"}, "m.content", "not null"),
        ({"role": "user", "content": 3}, "m.content", "not a number"),
        ({"role": "tool", "content": "", "tool_call_id": 3.5}, "m.tool_call_id", "a string"),
        ({"role": "user", "content": "", "id": [1]}, "m.id", "a string, not a list"),
        ({"role": "user", "content": {"a": 1}}, "m.content", "not an object"),
        ({"role": "system", "content": None}, "m.content", "not null"),
        (assistant() | {"tool_calls": {"a": 1}}, "m.tool_calls", "a list, not an object"),
        (assistant({}), "m.tool_calls[0].function", "not null"),
        (assistant(call(), call(id=True)), "m.tool_calls[1].id", "a string, not a boolean"),
        (assistant(call(type="custom")), "m.tool_calls[0].custom", "an object, not null"),
        (assistant(call(type="mcp")), "m.tool_calls[0].type", "or 'custom', not 'mcp'"),
        (assistant(custom(7)), "m.tool_calls[0].custom.input", "a string, not a number"),
        ({"role": "user", "content": "", "treadle": 1}, "m.treadle", "an object"),
        ({"role": "user", "content": "", "treadle": {"new": 1}}, "m.treadle", "does not know new"),
        ({"role": "user", "content": "", "treadle": {"id": "x"}}, "m.treadle.id", "be null"),
        (
            {"role": "user", "content": "", "treadle": {"message": {"role": "user"}}},
            "m.treadle.message",
            "content",
        ),
        (
            {"role": "user", "content": "", "treadle": {"visibility": "x"}},
            "m.treadle.visibility",
            "x",
        ),
        (
            {"role": "user", "content": "", "treadle": {"metadata": {"run_id": 1}}},
            "m.treadle",
            "str",
        ),
    ],
)
def test_an_invalid_message_is_refused_with_the_path_of_the_error(
    chat: Any, where: str, reason: str
) -> None:
    with pytest.raises(InvalidValue, match="invalid value") as caught:
        read_message(chat, "t-0", "m")
    assert caught.value.where.startswith(where)
    assert reason in caught.value.reason


def test_ids_and_the_layout_of_arguments_do_not_make_messages_differ() -> None:
    one = read_message(assistant(call('{"a":1,"b":2}')), "t-0", "m")
    other = read_message(assistant(call('{"b": 2, "a": 1}'), content=""), "t-9", "m")
    assert says_the_same(one, other)
    assert not says_the_same(one, read_message(assistant(call('{"a":1,"b":true}')), "t-0", "m"))
    assert not says_the_same(one, read_message(assistant(call(), content="x"), "t-0", "m"))


@pytest.mark.parametrize(
    ("chat", "where"),
    [
        ({"messages": [], "later": [10**5_000]}, "chat.later[0]"),
        ({"messages": [{"role": "user", "content": [10**5_000]}]}, "chat.messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [math.nan]}]}, "chat.messages[0].content[0]"),
        ({"messages": [], "later": "\ud800"}, "chat.later"),
    ],
)
def test_what_no_json_holds_is_refused_by_its_place(chat: Any, where: str) -> None:
    with pytest.raises(treadle.InvalidValue) as caught:
        read_conversation(chat, "chat")
    assert where in caught.value.where


def test_json_with_an_integer_of_5000_digits_is_refused_by_its_place() -> None:
    with pytest.raises(treadle.InvalidValue, match="does not fit 64 bits") as caught:
        read_json(f'{{"a": [1, {"7" * 5_000}]}}', "line")
    assert caught.value.where == "line.a[1]"
