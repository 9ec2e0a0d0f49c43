"""Sessions from the databases of the SDK's `SQLiteSession`."""

import json
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from treadle import InvalidValue, Store, Thread
from treadle.core.ids import is_id
from treadle.integrations._ids import joined_id
from treadle.integrations._owners import lacks_owner
from treadle.integrations.importing import Imported, Written, import_each, sqlite_file
from treadle.integrations.openai_agents._items import read_item
from treadle.integrations.openai_agents._tail import read_tail

_ITEMS = 500
"""How many items are added in a commit."""
_MAIN = "main"
"""The branch with which a session of `AdvancedSQLiteSession` begins, and is opened again."""
_LIST = "SELECT DISTINCT session_id FROM agent_messages ORDER BY session_id"
_HAS_BRANCHES = "SELECT name FROM sqlite_master WHERE name = 'message_structure'"
_BRANCHES = """
    SELECT branch_id FROM message_structure WHERE session_id = ?
    GROUP BY branch_id ORDER BY branch_id <> 'main', MIN(id)
"""
_ALL_ITEMS = "SELECT message_data FROM agent_messages WHERE session_id = ? ORDER BY id"
_ITEMS_OF_BRANCH = """
    SELECT message_data FROM agent_messages
    JOIN message_structure ON message_structure.message_id = agent_messages.id
    WHERE agent_messages.session_id = ? AND branch_id = ? ORDER BY sequence_number
"""


async def import_sessions(
    store: Store, source: str, *, resource_id: str | None = None
) -> AsyncGenerator[Imported]:
    """Import the sessions of a database of `SQLiteSession`, each as the thread with its id.

    Each branch of a session of `AdvancedSQLiteSession`, besides the main one, is a thread below it,
    with the id of the session, a dot, and that of the branch. If the id of a session cannot be that
    of a thread, such as one with a "/", the thread has `urllib.parse.quote(id, safe="")`.

    A session that the store has gets the items that it does not have yet, so an import can be
    repeated. One that went on in the store stays as it is. One that differs fails.

    Args:
        store: an open store.
        source: "sqlite:///conversations.db"; it is only read.
        resource_id: the owner of the threads; the database names none. A thread without an owner
            gets it, too, and a session whose thread has another one fails.

    Raises:
        InvalidValue: the source is no such database.
    """
    path = sqlite_file(source)
    if path is None:
        raise InvalidValue("source", "name a database file: sqlite:///conversations.db")

    has_branches = bool(_texts(path, _HAS_BRANCHES))

    async def work(session_id: str, written: Written) -> None:
        branches = _texts(path, _BRANCHES, session_id) if has_branches else []
        if not branches:  # `SQLiteSession` has written it
            texts = _texts(path, _ALL_ITEMS, session_id)
            thread = _thread_of(session_id, _MAIN, resource_id)
            written.is_new = await _import_items(store, thread, texts, written)
        for branch in branches:
            texts = _texts(path, _ITEMS_OF_BRANCH, session_id, branch)
            thread = _thread_of(session_id, branch, resource_id)
            is_new = await _import_items(store, thread, texts, written)
            written.is_new |= is_new and branch == branches[0]
            written.branches += branch != _MAIN

    async for imported in import_each(_texts(path, _LIST), str, work):
        yield imported


def _thread_of(session_id: str, branch: str, owner: str | None) -> Thread:
    main = session_id if is_id(session_id) else quote(session_id, safe="")
    if branch == _MAIN:
        return Thread(id=main, resource_id=owner)
    return Thread(id=joined_id(session_id, branch), resource_id=owner, parent_thread_id=main)


async def _import_items(store: Store, thread: Thread, texts: list[str], written: Written) -> bool:
    """Write the items that a thread does not have yet; return whether it had none."""
    items: list[Any] = [json.loads(text) for text in texts]
    tail = await read_tail(store, thread.id, None)
    stored, version = tail.items, tail.version
    common = min(len(items), len(stored))
    if items[:common] != stored[:common]:
        raise InvalidValue("session", f"the thread {thread.id!r} has other items")
    if await lacks_owner(store, thread):
        await store.threads.update(thread.id, resource_id=thread.resource_id)
    for start in range(common, len(items), _ITEMS):
        messages = [read_item(item) for item in items[start : start + _ITEMS]]
        async with store.batch() as step:  # unless somebody else adds to it, such as an import
            step.threads.ensure(thread)
            added = step.threads.append(thread.id, *messages, expected=version)
        version = added.result.version
        written.items += len(messages)
    return bool(items) and not stored


def _texts(path: Path, statement: str, *values: str) -> list[str]:
    """Return what a statement selects, such as the items of one session, as JSON.

    All sessions could be more than fit into memory.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            return [text for (text,) in database.execute(statement, values)]
    except sqlite3.DatabaseError as error:
        raise InvalidValue("source", f"it has no sessions of the SDK: {error}") from error
