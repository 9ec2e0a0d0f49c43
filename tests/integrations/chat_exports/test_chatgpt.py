"""Conversations of ChatGPT become threads, and nothing of them is lost."""

from pathlib import Path
from typing import Any

import pytest

import treadle
from tests.integrations.chat_exports.support import (
    chatgpt,
    contents,
    node,
    run,
    said,
    threads_of,
    written,
)
from treadle.integrations import openai_chat
from treadle.integrations.chat_exports import import_chatgpt

ASSET = {
    "content_type": "image_asset_pointer",
    "asset_pointer": "file-service://file-1",
    "size_bytes": 3,
    "width": 2,
    "height": 1,
}


async def thread_of(tmp_path: Path, *nodes: dict[str, Any], **fields: Any) -> treadle.Thread:
    source = written(tmp_path / "conversations.json", [chatgpt(*nodes, **fields)])
    async with treadle.open_store("memory:") as store:
        [imported] = await run(import_chatgpt, store, source)
        assert imported.reason is None
        return (await threads_of(store))["chat-1"]


async def content_of(tmp_path: Path, content: Any, role: str = "assistant") -> Any:
    thread = await thread_of(tmp_path, node("m1", "root", role, content))
    return thread.messages[0].content


async def test_a_conversation_is_a_thread_with_its_id_title_and_time(tmp_path: Path) -> None:
    thread = await thread_of(
        tmp_path, node("m1", "root", "user", said("hi")), node("m2", "m1", "assistant", said("ho"))
    )
    assert [(m.id, m.role, m.content) for m in thread.messages] == [
        ("m1", "user", "hi"),
        ("m2", "assistant", "ho"),
    ]
    assert thread.metadata.created_at == 1700000000123
    assert thread.metadata.extra["title"] == "A chat"
    exported = thread.metadata.extra["chatgpt_export"]
    assert exported["default_model_slug"] == "gpt-4o"
    assert exported["update_time"] == 1700000001.5
    assert thread.messages[0].extra["chatgpt_export"] == {
        "create_time": 1700000000.5,
        "status": "finished_successfully",
        "weight": 1.0,
        "metadata": {"model_slug": "gpt-4o"},
    }


async def test_calls_of_tools_have_their_results(tmp_path: Path) -> None:
    code = {"content_type": "code", "language": "python", "text": "print(1)"}
    thread = await thread_of(
        tmp_path,
        node("m1", "root", "user", said("draw")),
        node("m2", "m1", "assistant", code, tool="python"),
        node("m3", "m2", "tool", {"content_type": "execution_output", "text": "1"}, tool="python"),
        node("m4", "m3", "assistant", said('{"prompt": "a cat"}'), tool="dalle.text2im"),
        node("m5", "m4", "tool", said(ASSET), tool="dalle.text2im"),
        node("m6", "m5", "tool", said("1 image was shown"), tool="dalle.text2im"),
        node("m7", "m6", "assistant", said("There.")),
        node("m8", "m7", "tool", said("a file"), tool="file_search"),
    )
    calls = [
        (m.id, call.name, call.arguments) for m in thread.messages for call in m.tool_calls or ()
    ]
    assert calls == [("m2", "python", "print(1)"), ("m4", "dalle.text2im", {"prompt": "a cat"})]
    answers = {m.id: m.tool_call_id for m in thread.messages if m.role == "tool"}
    assert answers == {"m3": "m2", "m5": "m4", "m6": "m4", "m8": None}
    assert thread.messages[2].content == "1"
    assert thread.messages[2].extra["chatgpt_export"]["author"] == {"name": "python"}


async def test_a_result_belongs_to_a_call_of_its_own_turn(tmp_path: Path) -> None:
    thread = await thread_of(
        tmp_path,
        node("m1", "root", "assistant", said("{}"), tool="browser.open"),
        node("m2", "m1", "tool", said("a page"), tool="browser"),
        node("m3", "m2", "user", said("and?")),
        node("m4", "m3", "tool", said("another"), tool="browser"),
    )
    assert [m.tool_call_id for m in thread.messages] == [None, "m1", None, None]


async def test_a_thread_can_be_continued_with_the_api(tmp_path: Path) -> None:
    thread = await thread_of(
        tmp_path,
        node("m1", "root", "user", said("hi")),
        node("m2", "m1", "assistant", said('{"q": 1}'), tool="web.run"),
        node("m3", "m2", "tool", said("found"), tool="web.run"),
        node("m4", "m3", "assistant", said("Done.")),
    )
    assert openai_chat.write_messages(thread.messages) == [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "m2",
                    "type": "function",
                    "function": {"name": "web.run", "arguments": '{"q":1}'},
                }
            ],
        },
        {"role": "tool", "content": "found", "tool_call_id": "m2"},
        {"role": "assistant", "content": "Done."},
    ]
    chat = openai_chat.write_conversation(thread)
    assert openai_chat.read_conversation(chat).messages == thread.messages


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (said(), ""),
        (said(""), ""),
        (said("one", "two"), [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]),
        ({"content_type": "code", "language": "json", "text": "{}"}, "{}"),
        ({"content_type": "system_error", "name": "E", "text": "no"}, "no"),
        ({"content_type": "tether_quote", "url": "u", "text": "quoted", "title": "t"}, "quoted"),
        ({"content_type": "tether_browsing_display", "result": "# 1", "summary": ""}, "# 1"),
        ({"content_type": "model_editable_context", "model_set_context": "notes"}, "notes"),
        (
            {"content_type": "reasoning_recap", "content": "Thought for 5 seconds"},
            [{"type": "reasoning_recap", "content": "Thought for 5 seconds"}],
        ),
        ({"content_type": "new", "x": 1}, [{"type": "new", "x": 1}]),
        (
            {"content_type": "new", "type": 1},
            [{"type": "json", "json": {"content_type": "new", "type": 1}}],
        ),
        ({"content_type": "code", "text": 5}, ""),
        (None, ""),
    ],
)
async def test_every_kind_of_content_is_kept(tmp_path: Path, content: Any, expected: Any) -> None:
    assert await content_of(tmp_path, content) == expected


async def test_thoughts_are_blocks_of_thinking(tmp_path: Path) -> None:
    thoughts = [{"summary": "Adding", "content": "1 + 1", "chunks": [], "finished": True}]
    content = {"content_type": "thoughts", "thoughts": thoughts, "source_analysis_msg_id": "m0"}
    thinking = {"type": "thinking", "thinking": "1 + 1", "summary": "Adding"}
    assert await content_of(tmp_path, content) == [thinking | {"chunks": [], "finished": True}]


async def test_custom_instructions_are_internal(tmp_path: Path) -> None:
    content = {
        "content_type": "user_editable_context",
        "user_profile": "Anna",
        "user_instructions": "be short",
    }
    hidden = {"is_visually_hidden_from_conversation": True}
    thread = await thread_of(tmp_path, node("m1", "root", "user", content, metadata=hidden))
    [message] = thread.messages
    assert (message.role, message.visibility) == ("user", "internal")
    assert message.content == [
        {"type": "text", "text": "Anna"},
        {"type": "text", "text": "be short"},
    ]


async def test_files_are_named_and_counted(tmp_path: Path) -> None:
    recording = {"content_type": "audio_asset_pointer", "asset_pointer": "sediment://file_2"}
    voice = {
        "content_type": "real_time_user_audio_video_asset_pointer",
        "audio_asset_pointer": recording,
    }
    attached = {"attachments": [{"id": "file-1", "name": "a.png"}, {"id": "file-3"}, None]}
    message = node("m1", "root", "user", said(ASSET, voice, "look"), metadata=attached)
    source = written(tmp_path / "conversations.json", [chatgpt(message)])
    async with treadle.open_store("memory:") as store:
        [imported] = await run(import_chatgpt, store, source)
        [content] = contents((await threads_of(store))["chat-1"])
    assert imported.files == 3
    assert content[0] == {
        "type": "image_asset_pointer",
        "asset_pointer": "file-service://file-1",
        "size_bytes": 3,
        "width": 2,
        "height": 1,
    }
    assert content[2] == {"type": "text", "text": "look"}


async def test_the_newest_message_ends_the_current_branch_if_none_is_named(tmp_path: Path) -> None:
    thread = await thread_of(
        tmp_path,
        node("m1", "root", "user", said("hi")),
        node("m2", "m1", "assistant", said("new"), create_time=1700000009.0),
        node("m3", "m1", "assistant", said("old"), create_time=1700000001.0),
        current_node=None,
    )
    assert contents(thread) == ["hi", "new"]


async def test_a_tree_that_only_names_children_is_read(tmp_path: Path) -> None:
    nodes = chatgpt(node("m1", "root", "user", said("hi")), node("m2", "m1", "user", said("ho")))
    for each in nodes["mapping"].values():
        del each["parent"]
    source = written(tmp_path / "conversations.json", [nodes])
    async with treadle.open_store("memory:") as store:
        await run(import_chatgpt, store, source)
        assert contents((await threads_of(store))["chat-1"]) == ["hi", "ho"]
