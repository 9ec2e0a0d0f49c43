"""Conversations of Claude become threads, and nothing of them is lost."""

from pathlib import Path
from typing import Any

import treadle
from tests.integrations.chat_exports.support import (
    FIRST,
    chat,
    claude,
    contents,
    run,
    threads_of,
    written,
)
from treadle.integrations import anthropic_messages
from treadle.integrations.chat_exports import import_claude

CALL = {
    "type": "tool_use",
    "id": "toolu_1",
    "name": "search",
    "input": {"query": "cats"},
    "message": "Searching",
    "integration_name": None,
}
RESULT = {
    "type": "tool_result",
    "tool_use_id": "toolu_1",
    "name": "search",
    "content": [{"type": "text", "text": "two cats", "uuid": "r1"}],
    "is_error": False,
}
THINKING = {"type": "thinking", "thinking": "hm", "summaries": [{"summary": "s"}], "cut_off": False}


async def thread_of(tmp_path: Path, *messages: dict[str, Any], **fields: Any) -> treadle.Thread:
    source = written(tmp_path / "conversations.json", [claude(*messages, **fields)])
    async with treadle.open_store("memory:") as store:
        [imported] = await run(import_claude, store, source)
        assert imported.reason is None
        return (await threads_of(store))["chat-1"]


async def test_a_conversation_is_a_thread_with_its_id_title_and_time(tmp_path: Path) -> None:
    thread = await thread_of(
        tmp_path, chat("m1", FIRST, "human", "hi"), chat("m2", "m1", "assistant", "ho")
    )
    assert [(m.id, m.role, m.content) for m in thread.messages] == [
        ("m1", "user", "hi"),
        ("m2", "assistant", "ho"),
    ]
    assert thread.metadata.created_at == 1774767994085
    assert thread.metadata.extra["title"] == "A chat"
    assert thread.metadata.extra["claude_export"]["account"] == {"uuid": "somebody"}
    exported = thread.messages[0].extra["claude_export"]
    assert exported["created_at"] == "2026-03-29T07:06:35.552627Z"
    assert exported["blocks"] == [{"citations": []}]


async def test_a_message_with_calls_becomes_several(tmp_path: Path) -> None:
    thread = await thread_of(
        tmp_path,
        chat("m1", FIRST, "human", "cats?"),
        chat("m2", "m1", "assistant", THINKING, "I look.", CALL, RESULT, "Two."),
    )
    assert [(m.id, m.role, m.tool_call_id) for m in thread.messages] == [
        ("m1", "user", None),
        ("m2", "assistant", None),
        ("m2-1", "tool", "toolu_1"),
        ("m2-2", "assistant", None),
    ]
    _, asked, result, answer = thread.messages
    assert asked.content == [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "I look."},
    ]
    assert asked.tool_calls is not None
    [call] = asked.tool_calls
    assert (call.id, call.name, call.arguments) == ("toolu_1", "search", {"query": "cats"})
    assert asked.extra["claude_export"]["blocks"] == [
        {"summaries": [{"summary": "s"}], "cut_off": False},
        {"citations": []},
        {"message": "Searching"},
    ]
    assert (result.content, answer.content) == ("two cats", "Two.")
    assert result.extra["claude_export"] == {
        "name": "search",
        "is_error": False,
        "blocks": [{"uuid": "r1"}],
    }


async def test_a_thread_can_be_continued_with_the_api(tmp_path: Path) -> None:
    thread = await thread_of(
        tmp_path,
        chat("m1", FIRST, "human", "cats?"),
        chat("m2", "m1", "assistant", CALL, RESULT | {"is_error": True}, "None."),
    )
    use = {"type": "tool_use", "id": "toolu_1", "name": "search", "input": {"query": "cats"}}
    result = {
        "type": "tool_result",
        "tool_use_id": "toolu_1",
        "content": "two cats",
        "is_error": True,
    }
    assert anthropic_messages.write_messages(thread.messages) == {
        "messages": [
            {"role": "user", "content": "cats?"},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [result]},
            {"role": "assistant", "content": "None."},
        ]
    }


async def test_calls_without_ids_are_paired_in_their_order(tmp_path: Path) -> None:
    """Exports before 2025 have no ids of calls."""
    call = {"type": "tool_use", "name": "repl", "input": {}}
    result = {"type": "tool_result", "name": "repl", "content": "1"}
    stray = {"type": "tool_result", "name": "other", "content": None}
    thread = await thread_of(
        tmp_path, chat("m1", None, "assistant", call, result, call, result, stray)
    )
    assert [len(m.tool_calls or ()) for m in thread.messages] == [1, 0, 1, 0, 0]
    ids = [call.id for m in thread.messages for call in m.tool_calls or ()]
    assert [m.tool_call_id for m in thread.messages if m.role == "tool"] == [*ids, None]
    assert len(set(ids)) == 2


async def test_the_order_of_texts_and_calls_is_kept(tmp_path: Path) -> None:
    thread = await thread_of(tmp_path, chat("m1", FIRST, "assistant", "before", CALL, "after"))
    written_again = anthropic_messages.write_message(thread.messages[0])
    assert [block["type"] for block in written_again["content"]] == ["text", "tool_use", "text"]
    assert thread.messages[0].extra["claude_export"]["blocks"][1] == {"message": "Searching"}


async def test_the_text_of_an_attachment_is_a_document(tmp_path: Path) -> None:
    pasted = {"file_name": "", "file_size": 4, "file_type": "txt", "extracted_content": "long"}
    picture = {"file_name": "cat.png", "file_uuid": "f1"}
    said = chat("m1", FIRST, "human", attachments=[pasted], files=[picture], files_v2=[picture])
    source = written(tmp_path / "conversations.json", [claude(said)])
    async with treadle.open_store("memory:") as store:
        [imported] = await run(import_claude, store, source)
        [message] = (await threads_of(store))["chat-1"].messages
    assert imported.files == 1
    document = {"type": "text", "media_type": "text/plain", "data": "long"}
    assert message.content == [{"type": "document", "source": document}]
    kept = message.extra["claude_export"]
    assert kept["files"] == [picture]
    assert kept["attachments"] == [{"file_name": "", "file_size": 4, "file_type": "txt"}]


async def test_messages_of_older_exports_follow_each_other(tmp_path: Path) -> None:
    """They have neither parents nor blocks."""
    old = (
        {"uuid": "m1", "sender": "human", "text": "hi"},
        {"uuid": "m2", "sender": "assistant", "text": "ho"},
    )
    assert contents(await thread_of(tmp_path, *old)) == ["hi", "ho"]


async def test_the_newest_branch_is_the_current_one(tmp_path: Path) -> None:
    later = "2026-03-30T00:00:00Z"
    messages = (
        chat("m1", FIRST, "human", "hi"),
        chat("m2", "m1", "assistant", "new", created_at=later),
        chat("m3", "m1", "assistant", "old"),
    )
    assert contents(await thread_of(tmp_path, *messages)) == ["hi", "new"]
    named = await thread_of(tmp_path, *messages, current_leaf_message_uuid="m3")
    assert contents(named) == ["hi", "old"]


async def test_a_text_that_the_blocks_do_not_have_is_kept(tmp_path: Path) -> None:
    thread = await thread_of(tmp_path, chat("m1", FIRST, "assistant", "one", text="one ``` two"))
    assert thread.messages[0].content == "one"
    assert thread.messages[0].extra["claude_export"]["text"] == "one ``` two"
