"""Anthropic's Messages format: requests come back unchanged, and so do the messages of a thread."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import treadle
from treadle import InvalidValue, Message, MessageMetadata, ToolCall
from treadle.integrations import openai_chat
from treadle.integrations.anthropic_messages import (
    read_message,
    read_messages,
    write_message,
    write_messages,
)
from treadle.testing._harness.strategies.models import json_values, text

TEXT = {"type": "text", "text": "look"}
CACHED = {**TEXT, "cache_control": {"type": "ephemeral"}}
IMAGE = {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}
THINKING = {"type": "thinking", "thinking": "hm", "signature": "s"}
LATER = {"type": "invented_later", "n": [1, 1.0]}
USE = {"type": "tool_use", "id": "c1", "name": "f", "input": {"day": 4}}
OTHER_USE = {"type": "tool_use", "id": "c2", "name": "g", "input": {}, "caller": "direct"}
RESULT = {"type": "tool_result", "tool_use_id": "c1", "content": "sunny"}
FAILED = {"type": "tool_result", "tool_use_id": "c2", "content": [IMAGE], "is_error": True}


def user(content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **fields}


def assistant(content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **fields}


def stored(messages: list[Message]) -> list[Message]:
    return [treadle.decode(Message, treadle.encode(message)) for message in messages]


@pytest.mark.parametrize(
    "chats",
    [
        [user("hi"), assistant("hello")],
        [user(""), user([]), assistant([])],
        [user([TEXT]), assistant([TEXT])],
        [user([IMAGE, TEXT, LATER]), assistant([THINKING, CACHED])],
        [assistant([TEXT, USE, OTHER_USE]), user([RESULT, FAILED])],
        [assistant([THINKING, USE, TEXT, OTHER_USE]), user([RESULT, FAILED, TEXT])],
        [assistant([USE]), user([TEXT, RESULT, TEXT, IMAGE, FAILED])],
        [assistant([USE, OTHER_USE]), user([RESULT]), user([FAILED]), user("go on")],
        [user([RESULT, TEXT]), user([TEXT, FAILED]), user([RESULT])],
        [user([{"type": "tool_result", "tool_use_id": "c1"}, {**RESULT, "content": ""}])],
        [user([{**RESULT, "content": [TEXT]}, {**RESULT, "content": []}])],
        [user("hi", later=1), user([TEXT, RESULT], later=2), assistant("a", stop_reason=None)],
        [assistant([{"type": "text", "text": ""}, USE])],
        [user(["no object", 3])],
    ],
)
def test_messages_are_written_back_unchanged(chats: list[dict[str, Any]]) -> None:
    messages = read_messages(chats)
    assert write_messages(messages) == {"messages": chats}
    assert write_messages(stored(messages)) == {"messages": chats}


@pytest.mark.parametrize("system", ["Be brief.", "", [TEXT], [CACHED], [TEXT, CACHED, TEXT]])
def test_a_system_prompt_is_written_back_unchanged(system: Any) -> None:
    messages = read_messages([user("hi")], system)
    assert {message.role for message in messages[:-1]} == {"system"}
    assert write_messages(messages) == {"system": system, "messages": [user("hi")]}


def test_results_and_calls_are_messages_of_their_own() -> None:
    asked, sunny, failed, more = read_messages(
        [assistant([TEXT, USE, OTHER_USE]), user([RESULT, FAILED, TEXT])]
    )
    assert (asked.content, asked.extra) == ("look", {})
    assert asked.tool_calls == (
        ToolCall(id="c1", name="f", arguments={"day": 4}),
        ToolCall(id="c2", name="g", arguments={}, extra={"caller": "direct"}),
    )
    assert (sunny.role, sunny.tool_call_id, sunny.content, sunny.extra) == (
        *("tool", "c1", "sunny"),
        {},
    )
    assert (failed.tool_call_id, failed.extra) == ("c2", {"is_error": True})
    assert (more.role, more.content) == ("user", "look")


def test_the_messages_of_an_agent_become_a_request() -> None:
    calls = [ToolCall(id="c1", name="f", arguments={"day": 4}), ToolCall(id="c2", name="g")]
    calls[1] = msgspec.structs.replace(calls[1], arguments={})
    history = [
        Message.system("Be brief."),
        Message.internal_system("It is Monday."),
        Message.user("hi", metadata=MessageMetadata(run_id="r")),
        Message.assistant("look", calls),
        Message.tool("c1", "sunny"),
        Message.tool("c2", [IMAGE]),
        Message.user("and?"),
    ]
    monday = {"type": "text", "text": "It is Monday."}
    results = [RESULT, {"type": "tool_result", "tool_use_id": "c2", "content": [IMAGE]}]
    no_caller = {key: item for key, item in OTHER_USE.items() if key != "caller"}
    assert write_messages(history) == {
        "system": [{"type": "text", "text": "Be brief."}, monday],
        "messages": [user("hi"), assistant([TEXT, USE, no_caller]), user(results), user("and?")],
    }
    assert write_messages([]) == {"messages": []}


def test_an_answer_is_read_with_its_id_and_run() -> None:
    metadata = MessageMetadata(run_id="r")
    message = read_message(assistant([TEXT, USE]), id="r-1", metadata=metadata)
    assert (message.id, message.metadata) == ("r-1", metadata)
    assert write_message(message) == assistant([TEXT, USE])


@pytest.mark.parametrize(
    ("message", "where", "reason"),
    [
        (Message.system("late"), ".role", "before all messages"),
        (Message.user([{"type": "image_url", "image_url": {}}]), ".content[0]", "'image_url'"),
        (Message.assistant("", [ToolCall(id="c", name="f")]), ".tool_calls[0].arguments", "object"),
        (Message(role="tool", content="x"), ".tool_call_id", "must not be None"),
        (Message.user([RESULT]), "", "cannot express this user"),
        (Message.assistant([USE]), "", "cannot express this assistant"),
        (Message(role="user", content="", tool_call_id="c"), "", "cannot express"),
    ],
)
def test_what_the_format_cannot_express_is_refused_by_its_index(
    message: Message, where: str, reason: str
) -> None:
    with pytest.raises(InvalidValue, match=reason) as caught:
        write_messages([Message.user("hi"), message])
    assert caught.value.where == f"messages[1]{where}"
    with pytest.raises(InvalidValue):
        write_message(message)


@pytest.mark.parametrize(
    ("chat", "where"),
    [
        ("hi", "messages[1]"),
        ({"role": "system", "content": "x"}, "messages[1].role"),
        (user(None), "messages[1].content"),
        (assistant([{**USE, "input": "x"}]), "messages[1].content[0].input"),
        (assistant([{**USE, "arguments": 1}]), "messages[1].content[0].arguments"),
        (user([TEXT, {**RESULT, "tool_use_id": 1}]), "messages[1].content[1].tool_use_id"),
        (user([{**RESULT, "content": 3}]), "messages[1].content[0].content"),
        (user([RESULT], later=1), "messages[1].content"),
        (assistant("x", id="msg_1", type="message"), "messages[1].id"),
        (user([float("nan")]), "messages[1].content[0]"),
        (user("x", anthropic_messages={}), "messages[1]"),
    ],
)
def test_a_wrong_message_is_refused_by_its_path(chat: Any, where: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        read_messages([user("hi"), chat])
    assert caught.value.where == where


def test_a_message_that_becomes_several_is_not_read_as_one() -> None:
    with pytest.raises(InvalidValue, match="becomes 2 messages; use read_messages"):
        read_message(user([RESULT, FAILED]))


def test_text_and_tool_calls_can_go_from_one_format_to_the_other() -> None:
    chats = [user([TEXT]), assistant([TEXT, USE]), user([RESULT]), assistant("fine")]
    written = openai_chat.write_messages(read_messages(chats))
    assert [each["role"] for each in written] == ["user", "assistant", "tool", "assistant"]
    assert "anthropic_messages" not in json.dumps(written)
    again = write_messages(openai_chat.read_messages(written))
    assert again == {
        "messages": [user("look"), assistant([TEXT, USE]), user([RESULT]), assistant("fine")]
    }


DATA = "data:image/png;base64,iVBORw0="
INLINE = {"type": "base64", "media_type": "image/png", "data": "iVBORw0="}
WEB = {"type": "url", "url": "https://x/y.png"}


@pytest.mark.parametrize(("url", "source"), [(DATA, INLINE), (WEB["url"], WEB)])
def test_images_can_go_from_one_format_to_the_other(url: str, source: dict[str, str]) -> None:
    theirs = {"type": "image_url", "image_url": {"url": url}}
    ours = {"type": "image", "source": source}
    chat = user([TEXT, theirs])
    request = write_messages(openai_chat.read_messages([chat]))
    assert request == {"messages": [user([TEXT, ours])]}
    assert openai_chat.write_messages(read_messages(request["messages"])) == [chat]


def test_hints_at_the_cost_of_an_image_are_left_out() -> None:
    detailed = {"type": "image_url", "image_url": {"url": DATA, "detail": "low"}}
    cached = {"type": "image", "source": INLINE, "cache_control": {"type": "ephemeral"}}
    (written,) = write_messages([Message.user([detailed])])["messages"]
    assert written == user([{"type": "image", "source": INLINE}])
    (chat,) = openai_chat.write_messages([Message.user([cached])])
    assert chat == user([{"type": "image_url", "image_url": {"url": DATA}}])
    result = Message.tool("c1", [{"type": "image_url", "image_url": {"url": DATA}}])
    assert write_message(result) == user([{**RESULT, "content": written["content"]}])


@pytest.mark.parametrize(
    "image",
    [
        {"url": "ftp://x/y.png"},
        {"url": "data:image/png,plain"},
        {"url": 3},
        {"url": DATA, "later": 1},
        DATA,
    ],
)
def test_an_image_that_cannot_be_converted_is_refused(image: object) -> None:
    with pytest.raises(InvalidValue, match="'image_url'"):
        write_message(Message.user([{"type": "image_url", "image_url": image}]))


def test_a_field_that_only_has_the_name_of_an_original_is_written() -> None:
    for extra in ({"openai_chat": "theirs"}, {"openai_chat": {"x": 1}}, {"anthropic_messages": 1}):
        message = Message(role="user", content="hi", extra=extra)
        assert write_message(message) == user("hi", **extra)
        assert read_message(user("hi", **extra)).extra == extra


# --- in both directions, whatever they hold -------------------------------------------------------

NAMES = st.sampled_from(
    [
        *("id", "type", "role", "content", "input", "name", "is_error", "arguments", "x"),
        *("anthropic_messages", "openai_chat", "tool_use_id", "metadata"),
    ]
)
FIELDS = st.dictionaries(NAMES, json_values | st.just({"joined": True}), max_size=1)
SOME_ID = st.sampled_from(["c1", "c2", ""])
TEXTS = st.fixed_dictionaries({"type": st.just("text"), "text": text})
OTHERS = st.sampled_from([TEXT, CACHED, IMAGE, THINKING, LATER, 3])
PARTS = st.lists(TEXTS | OTHERS, max_size=3)


@st.composite
def objects(draw: st.DrawFn, /, **known: st.SearchStrategy[Any]) -> dict[str, Any]:
    """Draw an object with known fields, and sometimes another one."""
    further = draw(st.just({}) | FIELDS)
    return further | {key: draw(values) for key, values in known.items()}


USES = objects(
    type=st.just("tool_use"),
    id=SOME_ID,
    name=text,
    input=st.dictionaries(NAMES, json_values, max_size=2),
)
RESULTS = objects(type=st.just("tool_result"), tool_use_id=SOME_ID) | objects(
    type=st.just("tool_result"), tool_use_id=SOME_ID, content=text | PARTS
)
CHATS = objects(
    role=st.sampled_from(["user", "assistant"]),
    content=text | st.lists(TEXTS | OTHERS | USES | RESULTS, max_size=5),
)


@given(st.lists(CHATS, max_size=4), st.none() | text | st.lists(TEXTS | OTHERS, max_size=3))
def test_every_request_that_is_read_is_written_as_it_was(chats: list[Any], system: Any) -> None:
    try:
        messages = read_messages(chats, system)
    except InvalidValue:
        return
    request = {"messages": chats} if system is None else {"system": system, "messages": chats}
    for each in (messages, stored(messages)):
        written = msgspec.json.encode(write_messages(each), order="sorted")
        assert written == msgspec.json.encode(request, order="sorted")


CALLS = st.builds(
    ToolCall,
    id=SOME_ID,
    name=text,
    arguments=st.dictionaries(NAMES, json_values, max_size=2) | json_values,
)
EXTRAS = st.dictionaries(st.sampled_from(["x", "is_error", "type", "openai_chat"]), json_values)
ANY = st.builds(
    Message,
    role=st.sampled_from(["user", "assistant", "tool", "system"]),
    content=text,
    tool_call_id=st.none() | SOME_ID,
    extra=EXTRAS,
)
HISTORIES = st.lists(
    st.one_of(
        st.builds(Message.user, text | PARTS),
        st.builds(Message.assistant, text | PARTS, st.lists(CALLS, max_size=2)),
        st.builds(Message.tool, SOME_ID, text | PARTS),
        st.builds(Message.system, text | PARTS),
        ANY,
    ),
    max_size=5,
)


def meaning(message: Message) -> Any:
    content = message.content
    if isinstance(content, list) and len(content) == 1 and isinstance(content[0], dict):
        is_plain = content[0].keys() == {"type", "text"} and content[0]["type"] == "text"
        content = content[0]["text"] if is_plain else content
    layouts = ("anthropic_messages", "openai_chat")
    extra = {key: item for key, item in message.extra.items() if key not in layouts}
    return message.role, content or "", message.tool_calls, message.tool_call_id, extra


@given(HISTORIES)
def test_every_history_that_is_written_is_read_as_it_was(history: list[Message]) -> None:
    try:
        request = write_messages(history)
    except InvalidValue:
        return
    read = read_messages(**request)
    assert list(map(meaning, read)) == list(map(meaning, history))
    assert write_messages(read) == request
