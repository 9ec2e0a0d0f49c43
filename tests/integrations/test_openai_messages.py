"""Messages of the OpenAI chat format, one by one and in lists, as a model gives and takes them."""

from typing import Any

import msgspec
import pytest

from treadle import InvalidValue, Message, MessageMetadata, ToolCall
from treadle.integrations.openai_chat import (
    read_message,
    read_messages,
    write_message,
    write_messages,
)

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"day":4}'}}
FILE = {"type": "image", "source": {"type": "file", "file_id": "f"}}
IMAGE = {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}
CHATS: list[dict[str, Any]] = [
    {"role": "developer", "content": "be brief"},
    {"role": "user", "content": [{"type": "text", "text": "hi"}], "name": "odile"},
    {"role": "assistant", "content": None, "refusal": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]},
    {"role": "assistant", "content": "fine", "annotations": [], "audio": None},
]


def test_a_list_of_messages_is_written_back_unchanged() -> None:
    messages = read_messages(CHATS)
    assert write_messages(messages) == CHATS
    assert len({message.id for message in messages}) == len(CHATS)


def test_a_part_of_an_unknown_type_is_written_back_unchanged() -> None:
    part = {"type": "invented_later", "n": [1, 1.0], "cache_control": {}}
    chat = {"role": "user", "content": [part, {"type": "text", "text": "hi"}]}
    assert write_message(read_message(chat)) == chat


def test_a_field_that_only_has_the_name_of_a_layout_is_written() -> None:
    message = Message(role="user", content="hi", extra={"anthropic_messages": "theirs"})
    chat = {"role": "user", "content": "hi", "anthropic_messages": "theirs"}
    assert write_message(message) == chat
    with pytest.raises(InvalidValue, match="cannot express"):
        write_message(msgspec.structs.replace(message, extra={"openai_chat": "theirs"}))


def test_a_model_gets_neither_ids_nor_runs_nor_visibility() -> None:
    metadata = MessageMetadata(run_id="r", step_index=1)
    message = Message.internal_system("quiet", id="m1", metadata=metadata)
    assert write_message(message) == {"role": "system", "content": "quiet"}
    assert write_message(Message(role="user", content="hi")) == {"role": "user", "content": "hi"}


def test_tool_calls_are_written_as_models_take_them() -> None:
    message = Message.assistant("", [ToolCall(id="c1", name="f", arguments={"day": 4})])
    assert write_message(message) == {"role": "assistant", "content": None, "tool_calls": [CALL]}


def test_the_id_and_the_run_of_an_answer_can_be_given() -> None:
    metadata = MessageMetadata(run_id="r")
    message = read_message(CHATS[-1], id="r-1", metadata=metadata)
    assert (message.id, message.metadata) == ("r-1", metadata)
    assert read_message({**CHATS[-1], "id": "theirs"}, id="r-1").id == "theirs"


@pytest.mark.parametrize(
    ("message", "where", "reason"),
    [
        (Message.user([{"type": "image", "source": {}}]), "messages[1].content[0]", "'image'"),
        (Message.user([FILE]), "messages[1].content[0]", "'image'"),
        (Message.tool("c", [IMAGE]), "messages[1].content[0]", "'image'"),
        (Message.user("hi", id="m"), "messages[1]", "cannot express"),
    ],
)
def test_what_the_chat_format_cannot_express_is_refused_by_its_index(
    message: Message, where: str, reason: str
) -> None:
    if message.id == "m":
        message = msgspec.structs.replace(message, extra={"treadle": 1})
    with pytest.raises(InvalidValue, match=reason) as caught:
        write_messages([Message.user("hi"), message])
    assert caught.value.where == where


def test_a_wrong_message_in_a_list_is_refused_by_its_index() -> None:
    with pytest.raises(InvalidValue) as caught:
        read_messages([*CHATS, {"role": "bot", "content": ""}])
    assert caught.value.where == "messages[6].role"
