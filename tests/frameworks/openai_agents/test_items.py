import string
from contextlib import closing
from enum import StrEnum
from typing import Any

import pytest
from agents import SQLiteSession
from hypothesis import given
from hypothesis import strategies as st

from tests.frameworks.openai_agents.items import CALL, ITEMS, OUTPUT, USER
from treadle import InvalidValue, Message, Store, ToolCall, decode, encode
from treadle.integrations.openai_agents import TreadleSession, read_item, write_items

NAMES = ["type", "role", "content", "call_id", "name", "arguments", "output", "id", "openai_item"]
VALUES = [
    "function_call",
    "function_call_output",
    "message",
    "user",
    "developer",
    "tool",
    "",
    "{}",
    '{"b": 1, "a": 1.0}',
    None,
    [],
    [{"type": "text", "text": "t"}],
]
values = st.one_of(st.sampled_from(VALUES), st.text(string.printable), st.integers(-9, 9))
items = st.dictionaries(st.sampled_from(NAMES), values)


@given(items)
def test_every_item_comes_back_as_it_was(item: dict[str, Any]) -> None:
    message = decode(Message, encode(read_item(item)))
    assert write_items(message) == [item]


@pytest.mark.parametrize("item", ITEMS)
def test_items_of_every_kind_come_back(item: dict[str, Any]) -> None:
    assert write_items(decode(Message, encode(read_item(item)))) == [item]


def test_a_message_has_what_it_can_express_of_an_item() -> None:
    assert read_item(USER) == Message(role="user", content=USER["content"])
    call = read_item(CALL)
    assert call.tool_calls is not None
    assert (call.tool_calls[0].name, call.tool_calls[0].arguments) == (
        "weather",
        {"city": "Bern", "days": 1.0},
    )
    output = read_item(OUTPUT)
    assert (output.role, output.tool_call_id, output.content) == ("tool", "call_1", "sunny")


def test_an_item_that_says_nothing_to_a_user_is_internal() -> None:
    assert read_item({"type": "reasoning", "summary": []}).visibility == "internal"


def test_a_message_of_another_program_becomes_items() -> None:
    call = ToolCall(id="c", name="f", arguments={"a": 1})
    assert write_items(Message.assistant("Wait.", [call])) == [
        {"role": "assistant", "content": "Wait."},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a":1}'},
    ]
    assert write_items(Message.tool("c", "done")) == [
        {"type": "function_call_output", "call_id": "c", "output": "done"}
    ]
    image = {"type": "image_url", "image_url": {"url": "https://x/y.png"}}
    assert write_items(Message.user([{"type": "text", "text": "See"}, image])) == [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "See"},
                {"type": "input_image", "image_url": "https://x/y.png", "detail": "auto"},
            ],
        }
    ]


class Words(StrEnum):
    HELLO = "hello"


async def test_what_json_writes_as_a_text_or_a_list_is_an_item_as_in_the_sdks_sessions(
    store: Store,
) -> None:
    given: Any = {"role": "user", "content": Words.HELLO, "tags": (Words.HELLO, 1)}
    with closing(SQLiteSession("chat")) as theirs:
        for session in (theirs, TreadleSession("chat", store)):
            await session.add_items([given])
            found: Any = (await session.get_items())[0]
            assert found == {"role": "user", "content": "hello", "tags": ["hello", 1]}
            assert type(found["content"]) is str


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(InvalidValue, match="item: it must be an object, not a string"):
        read_item("hello")
