"""Sessions from the databases of the SDK's `SQLiteSession`."""

import json
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path
from typing import Any

from treadle import InvalidValue, Store, Thread
from treadle.integrations.importing import Imported, Written, import_each, sqlite_file
from treadle.integrations.openai_agents._items import read_item
from treadle.integrations.openai_agents._tail import read_tail

_ITEMS = 500
"""How many items are added in a commit."""


async def import_sessions(store: Store, source: str) -> AsyncGenerator[Imported]:
    """Import the sessions of a database of `SQLiteSession`, each as the thread with its id.

    A session that the store has gets the items that it does not have yet, so an import can be
    repeated. One that went on in the store stays as it is. One that differs fails.

    Args:
        store: an open store.
        source: "sqlite:///conversations.db"; it is only read.

    Raises:
        InvalidValue: the source is no such database.
    """
    path = sqlite_file(source)
    if path is None:
        raise InvalidValue("source", "name a database file: sqlite:///conversations.db")

    async def work(session_id: str, written: Written) -> None:
        await _import_session(store, session_id, _read(path, session_id), written)

    async for imported in import_each(_list(path), str, work):
        yield imported


async def _import_session(
    store: Store, session_id: str, texts: list[str], written: Written
) -> None:
    items: list[Any] = [json.loads(text) for text in texts]
    tail = await read_tail(store, session_id, None)
    stored, version = tail.items, tail.version
    written.is_new = bool(items) and not stored
    common = min(len(items), len(stored))
    if items[:common] != stored[:common]:
        raise InvalidValue("session", "the thread with this id has other items")
    for start in range(common, len(items), _ITEMS):
        messages = [read_item(item) for item in items[start : start + _ITEMS]]
        async with store.batch() as step:  # unless somebody else adds to it, such as an import
            step.threads.ensure(Thread(id=session_id))
            added = step.threads.append(session_id, *messages, expected=version)
        version = added.result.version
        written.items += len(messages)


def _list(path: Path) -> list[str]:
    """Return the ids of the sessions."""
    return _texts(path, "SELECT DISTINCT session_id FROM agent_messages ORDER BY session_id")


def _read(path: Path, session_id: str) -> list[str]:
    """Return the items of a session, as JSON; all sessions could be more than fit into memory."""
    statement = "SELECT message_data FROM agent_messages WHERE session_id = ? ORDER BY id"
    return _texts(path, statement, session_id)


def _texts(path: Path, statement: str, *values: str) -> list[str]:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            return [text for (text,) in database.execute(statement, values)]
    except sqlite3.DatabaseError as error:
        raise InvalidValue("source", f"it has no sessions of the SDK: {error}") from error
