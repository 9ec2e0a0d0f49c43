"""Messages: what each constructor fills in."""

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from treadle import Message, MessageMetadata, ToolCall, encode
from treadle.core.codec import to_plain

CALL = ToolCall(id="c1", name="search", arguments={"q": 1})
CONSTRUCTORS: dict[str, tuple[Callable[[], Message], dict[str, Any]]] = {
    "user": (lambda: Message.user("hi"), {"role": "user", "content": "hi"}),
    "system": (lambda: Message.system("be"), {"role": "system", "content": "be"}),
    "assistant": (lambda: Message.assistant("so"), {"role": "assistant", "content": "so"}),
    "internal system": (
        lambda: Message.internal_system("be"),
        {"role": "system", "content": "be", "visibility": "internal"},
    ),
    "tool": (
        lambda: Message.tool("c1", "42"),
        {"role": "tool", "content": "42", "tool_call_id": "c1"},
    ),
    "assistant with calls": (
        lambda: Message.assistant("", [CALL]),
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "name": "search", "arguments": {"q": 1}}],
        },
    ),
    "parts": (
        lambda: Message.user([{"type": "text", "text": "hi"}]),
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
    ),
}


@pytest.mark.parametrize(("make", "expected"), CONSTRUCTORS.values(), ids=CONSTRUCTORS)
def test_a_constructor_fills_in_a_new_id_and_its_role(
    make: Callable[[], Message], expected: dict[str, Any]
) -> None:
    message = to_plain(make())
    assert uuid.UUID(message.pop("id")).version == 7
    assert message == expected
    assert make().id != make().id


MAKERS: list[Callable[..., Message]] = [
    Message.user,
    Message.assistant,
    Message.system,
    Message.internal_system,
    partial(Message.tool, "c1"),
]


@pytest.mark.parametrize("make", MAKERS)
def test_a_constructor_takes_an_id_and_metadata(make: Callable[..., Message]) -> None:
    metadata = MessageMetadata(run_id="r", step_index=2)
    message = make("hi", id="m", metadata=metadata)
    assert (message.id, message.metadata) == ("m", metadata)


def test_what_is_default_is_not_written() -> None:
    assert encode(Message(role="user", content="")) == b'{"content":"","role":"user"}'


def test_the_arguments_of_a_tool_call_are_always_written() -> None:
    assert b'"arguments":null' in encode(ToolCall(id="c", name="n"))
