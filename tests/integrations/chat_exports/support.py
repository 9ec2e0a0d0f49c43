"""Exports, written by tests, and what an import makes of them."""

import json
import zipfile
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import treadle
from treadle.integrations.importing import Imported

Import = Callable[[treadle.Store, str], AsyncGenerator[Imported]]


def zipped(path: Path, files: dict[str, Any]) -> Path:
    """Write an archive with these files, as JSON unless they are bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in files.items():
            archive.writestr(name, value if isinstance(value, bytes) else json.dumps(value))
    return path


def written(path: Path, conversations: Any) -> Path:
    """Write conversations as a file of JSON."""
    path.write_text(json.dumps(conversations))
    return path


async def run(importer: Import, store: treadle.Store, source: Path) -> list[Imported]:
    """Import an export; return what became of each conversation."""
    return [each async for each in importer(store, str(source))]


async def threads_of(store: treadle.Store) -> dict[str, treadle.Thread]:
    """Return all threads of a store by their ids."""
    found: dict[str, treadle.Thread] = {}
    for thread_id in (await store.threads.list(limit=200)).items:
        head = await store.threads.load(thread_id)
        assert head is not None
        found[thread_id] = head.thread
    return found


def contents(thread: treadle.Thread) -> list[Any]:
    """Return what is said in a thread."""
    return [message.content for message in thread.messages]


# --- ChatGPT --------------------------------------------------------------------------------------


def said(*parts: Any) -> dict[str, Any]:
    """Return a content of ChatGPT: text, or text with other parts."""
    kind = "text" if all(isinstance(part, str) for part in parts) else "multimodal_text"
    return {"content_type": kind, "parts": list(parts)}


def node(
    name: str,
    parent: str | None,
    role: str,
    content: Any,
    /,
    tool: str | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Return a node of ChatGPT's tree, without its children."""
    message = {
        "id": name,
        "author": {"role": role, "name": tool if role == "tool" else None, "metadata": {}},
        "create_time": 1700000000.5,
        "update_time": None,
        "content": content,
        "status": "finished_successfully",
        "end_turn": None,
        "weight": 1.0,
        "metadata": {"model_slug": "gpt-4o"},
        "recipient": tool if tool and role == "assistant" else "all",
        "channel": None,
    }
    return {"id": name, "parent": parent, "message": message | fields}


def chatgpt(*nodes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a conversation of ChatGPT; its last node is the current one."""
    mapping: dict[str, dict[str, Any]] = {
        "root": {"id": "root", "message": None, "parent": None},
        **{each["id"]: dict(each) for each in nodes},
    }
    for each in mapping.values():
        each["children"] = [
            name for name, other in mapping.items() if other["parent"] == each["id"]
        ]
    return {
        "title": "A chat",
        "create_time": 1700000000.123456,
        "update_time": 1700000001.5,
        "mapping": mapping,
        "moderation_results": [],
        "current_node": list(mapping)[-1],
        "conversation_id": "chat-1",
        "id": "chat-1",
        "default_model_slug": "gpt-4o",
        "plugin_ids": None,
    } | fields


# --- Claude ---------------------------------------------------------------------------------------

FIRST = "00000000-0000-4000-8000-000000000000"
"""The parent of a first message."""


def chat(uuid: str, parent: str | None, sender: str, *blocks: Any, **fields: Any) -> dict[str, Any]:
    """Return a message of Claude; a text is a block of text."""
    content: list[dict[str, Any]] = [
        {"type": "text", "text": block, "citations": []} if isinstance(block, str) else block
        for block in blocks
    ]
    text = " ".join(str(block["text"]) for block in content if block["type"] == "text")
    message: dict[str, Any] = {
        "uuid": uuid,
        "text": text,
        "content": content,
        "sender": sender,
        "created_at": "2026-03-29T07:06:35.552627Z",
        "updated_at": "2026-03-29T07:06:35.552627Z",
        "attachments": [],
        "files": [],
    }
    if parent is not None:
        message["parent_message_uuid"] = parent
    return message | fields


def claude(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a conversation of Claude."""
    return {
        "uuid": "chat-1",
        "name": "A chat",
        "summary": "",
        "created_at": "2026-03-29T07:06:34.084721Z",
        "updated_at": "2026-03-29T12:59:41.658730Z",
        "account": {"uuid": "somebody"},
        "chat_messages": list(messages),
    } | fields
