"""Threads that adapters have written, in the formats that models take."""

from typing import Any

import pytest
from agent_framework import Content
from agent_framework import Message as FrameworkMessage
from google.genai import types

from tests.frameworks.google_adk.test_messages import appended, call, event, result
from treadle import InvalidValue, Message, Store
from treadle.integrations import anthropic_messages
from treadle.integrations.agent_framework import TreadleHistoryProvider
from treadle.integrations.google_adk._events import as_messages
from treadle.integrations.openai_agents import TreadleSession
from treadle.integrations.openai_chat import (
    read_conversation,
    write_conversation,
    write_message,
    write_messages,
)

PIXEL = "data:image/png;base64,iVBORw0KGgo="


def item_call(id: str, arguments: str = '{"city": "Oslo"}') -> dict[str, Any]:
    return {
        "type": "function_call",
        "id": f"fc-{id}",
        "call_id": id,
        "name": "weather",
        "arguments": arguments,
        "status": "completed",
    }


def item_result(id: str, output: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": id, "output": output}


def chat_call(id: str, arguments: str) -> dict[str, Any]:
    function = {"name": "weather", "arguments": arguments}
    return {"id": id, "type": "function", "function": function}


def chat_calls(*calls: dict[str, Any], content: str | None = None) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def says(text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {
        "type": "message",
        "id": "m",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }


async def of_session(store: Store, *items: Any) -> list[Message]:
    await TreadleSession("oa", store).add_items(list(items))
    head = await store.threads.load("oa")
    assert head is not None
    again = write_conversation(head.thread)
    assert read_conversation(again).messages == head.thread.messages
    assert all("openai_item" not in each for each in again["messages"])
    return list(head.thread.messages)


async def test_openai_agents(store: Store) -> None:
    parts = [
        {"type": "input_text", "text": "And this?"},
        {"type": "input_image", "image_url": PIXEL, "detail": "low"},
        {"type": "input_file", "file_id": "f"},
    ]
    messages = await of_session(
        store,
        {"role": "user", "content": "Weather?"},
        {"type": "reasoning", "id": "r", "summary": []},
        item_call("a"),
        item_call("b", '{"city":"Rome"}'),
        item_result("a", "grey"),
        item_result("b", "blue"),
        says("Grey and blue."),
        {"role": "user", "content": parts},
    )
    assert write_messages(messages) == [
        {"role": "user", "content": "Weather?"},
        chat_calls(chat_call("a", '{"city": "Oslo"}'), chat_call("b", '{"city":"Rome"}')),
        {"role": "tool", "content": "grey", "tool_call_id": "a"},
        {"role": "tool", "content": "blue", "tool_call_id": "b"},
        {"role": "assistant", "content": "Grey and blue."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "And this?"},
                {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
                {"type": "file", "file": {"file_id": "f"}},
            ],
        },
    ]


@pytest.mark.parametrize(
    ("item", "what"),
    [
        ({"type": "web_search_call", "id": "w", "status": "completed"}, "item 'web_search_call'"),
        ({"type": "computer_call_output", "call_id": "c", "output": [{"x": 1}]}, "item 'computer"),
        ({"role": "user", "content": [{"type": "input_file", "file_url": "x"}]}, "part 'input_fi"),
        ({"type": "message", "role": "user", "content": [{"type": "new"}]}, "part 'new'"),
    ],
)
async def test_what_has_no_form_is_refused_with_its_index(
    store: Store, item: Any, what: str
) -> None:
    messages = await of_session(store, {"role": "user", "content": "hi"}, item)
    with pytest.raises(InvalidValue, match=rf"messages\[1\].* has no {what}"):
        write_messages(messages)


def test_parts_of_the_responses_api_of_any_message_are_converted() -> None:
    """A program may append what it sends to the model."""
    parts: Any = [{"type": "input_text", "text": "hi"}]
    written = write_message(Message(role="user", content=parts))
    assert written == {"role": "user", "content": [{"type": "text", "text": "hi"}]}
    own: Any = [{"type": "video_url", "video_url": {"url": "x"}}]  # of another model's format
    assert write_message(Message(role="user", content=own)) == {"role": "user", "content": own}


async def test_agent_framework(store: Store) -> None:
    asks = Content.from_function_call(call_id="a", name="weather", arguments={"city": "Oslo"})
    request = Content.from_function_approval_request(id="r", function_call=asks)
    messages = [
        FrameworkMessage("user", ["Weather?", Content.from_uri(PIXEL, media_type="image/png")]),
        FrameworkMessage("assistant", [Content.from_text_reasoning(text="Hm."), asks]),
        FrameworkMessage("tool", [Content.from_function_result(call_id="a", result="grey")]),
        FrameworkMessage("assistant", ["Grey."]),
    ]
    provider = TreadleHistoryProvider(store)
    await provider.save_messages("s", messages)
    head = await store.threads.load(provider.thread_id("s"))
    assert head is not None
    assert write_messages(head.thread.messages) == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Weather?"},
                {"type": "image_url", "image_url": {"url": PIXEL}},
            ],
        },
        chat_calls(chat_call("a", '{"city":"Oslo"}')),
        {"role": "tool", "content": "grey", "tool_call_id": "a"},
        {"role": "assistant", "content": "Grey."},
    ]
    again = read_conversation(write_conversation(head.thread))
    assert again.messages == head.thread.messages

    await provider.save_messages("other", [FrameworkMessage("assistant", [request])])
    head = await store.threads.load(provider.thread_id("other"))
    assert head is not None
    with pytest.raises(InvalidValue, match="part 'function_approval_request'; convert it"):
        write_messages(head.thread.messages)


async def test_adk(store: Store) -> None:
    image = types.Part(inline_data=types.Blob(mime_type="image/png", data=b"\xfb\xff\xbe"))
    messages = await appended(
        store,
        event(types.Part(text="Weather?"), image, author="user"),
        event(types.Part(text="Hm.", thought=True), types.Part(text="I look."), call("a", n=1)),
        event(result("a", sky="grey")),
        event(author="agent"),
        event(types.Part(text="Grey.", thought_signature=b"x")),
    )
    assert write_messages(messages) == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Weather?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,+/++"}},
            ],
        },
        chat_calls(chat_call("a", '{"n":1}'), content="I look."),
        {"role": "tool", "content": '{"sky":"grey"}', "tool_call_id": "a"},
        {"role": "assistant", "content": "Grey."},
    ]
    python = types.ExecutableCode(code="1", language=types.Language.PYTHON)
    [message] = as_messages(event(types.Part(executable_code=python)))
    with pytest.raises(InvalidValue, match="part 'executable_code'"):
        write_message(message)


async def test_anthropic_s_format(store: Store) -> None:
    parts = [
        {"type": "input_text", "text": "Weather?"},
        {"type": "input_image", "image_url": PIXEL, "detail": "auto"},
    ]
    messages = await of_session(
        store,
        {"role": "user", "content": parts},
        {"type": "reasoning", "id": "r", "summary": []},
        item_call("a"),
        item_result("a", "grey"),
        says("Grey."),
    )
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL.partition(",")[2]}
    used = {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Oslo"}}
    given = {"type": "tool_result", "tool_use_id": "a", "content": "grey"}
    image = {"type": "image", "source": source}
    assert anthropic_messages.write_messages(messages) == {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Weather?"}, image]},
            {"role": "assistant", "content": [used]},
            {"role": "user", "content": [given]},
            {"role": "assistant", "content": "Grey."},
        ]
    }
    search = {"type": "web_search_call", "id": "w", "status": "completed"}
    messages = await of_session(store, search)
    with pytest.raises(InvalidValue, match=r"messages\[5\].* Messages format has no item 'web_s"):
        anthropic_messages.write_messages(messages)
