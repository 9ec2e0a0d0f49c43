"""Messages of the chat format, read and written back."""

from typing import Any

import msgspec
import pytest

import treadle
from treadle.cli.chat.messages import read_message, says_the_same, write_message
from treadle.errors import InvalidValue


def call(arguments: Any = "{}", **fields: Any) -> dict[str, Any]:
    function = {"name": "search", "arguments": arguments}
    return {"id": "c1", "type": "function", "function": function, **fields}


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
def test_a_message_is_written_back_as_it_was(chat: dict[str, Any]) -> None:
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
def test_a_message_of_treadle_comes_back_from_the_chat_format(message: treadle.Message) -> None:
    again = read_message(write_message(message, None), "given", "message")
    assert again == msgspec.structs.replace(message, id=message.id or "given")


def test_arguments_are_json_in_the_store() -> None:
    message = read_message(assistant(call('{"day": 3}')), "t-0", "message")
    assert message.tool_calls is not None
    assert message.tool_calls[0].arguments == {"day": 3}
    assert message.content == ""


def test_what_was_changed_in_the_store_is_what_is_written() -> None:
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
        ({"role": "tool", "content": "", "tool_call_id": 3}, "m.tool_call_id", "a string"),
        (assistant() | {"tool_calls": {"a": 1}}, "m.tool_calls", "a list, not an object"),
        (assistant({}), "m.tool_calls[0].function", "not null"),
        (assistant(call(), call(id=3)), "m.tool_calls[1].id", "a string, not a number"),
        (assistant(call(type="custom")), "m.tool_calls[0].type", "'function'"),
        ({"role": "user", "content": "", "treadle": 1}, "m.treadle", "an object"),
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
def test_what_is_no_message_is_refused_with_its_place(chat: Any, where: str, reason: str) -> None:
    with pytest.raises(InvalidValue, match="invalid value") as caught:
        read_message(chat, "t-0", "m")
    assert caught.value.where.startswith(where)
    assert reason in caught.value.reason


def test_saying_the_same_is_about_what_was_said() -> None:
    one = read_message(assistant(call('{"a":1,"b":2}')), "t-0", "m")
    other = read_message(assistant(call('{"b": 2, "a": 1}'), content=""), "t-9", "m")
    assert says_the_same(one, other)
    assert not says_the_same(one, read_message(assistant(call('{"a":1,"b":true}')), "t-0", "m"))
    assert not says_the_same(one, read_message(assistant(call(), content="x"), "t-0", "m"))
