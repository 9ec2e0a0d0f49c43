"""Sessions from the databases of the SDK's `SQLiteSession`."""

import json
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import closing
from itertools import groupby
from operator import itemgetter
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

    async def work(session: tuple[str, list[str]], written: Written) -> None:
        session_id, texts = session
        await _import_session(store, session_id, texts, written)

    async for imported in import_each(_read(path), itemgetter(0), work):
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


def _read(path: Path) -> list[tuple[str, list[str]]]:
    """Return each session with its items, as JSON."""
    statement = "SELECT session_id, message_data FROM agent_messages ORDER BY session_id, id"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            rows = database.execute(statement).fetchall()
    except sqlite3.DatabaseError as error:
        raise InvalidValue("source", f"it has no sessions of the SDK: {error}") from error
    grouped = groupby(rows, itemgetter(0))
    return [(session_id, [text for _, text in group]) for session_id, group in grouped]
