"""The floor: the cost of the same durability in SQLite, by hand and without a store."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.peers.base import BatchingThreadSubject, EditSubject, sqlite_durability

SCHEMA = """
    create table messages (id integer primary key, thread text not null, body text not null);
    create index messages_of on messages (thread, id);
"""
INSERT = "insert into messages (thread, body) values (?, ?)"
TAKE_BACK = """
    delete from messages where id = (select max(id) from messages where thread = ?)
"""
LAST = "select body from messages where thread = ? order by id desc limit ?"


def connect(database: Path) -> sqlite3.Connection:
    """Connect with full durability: write-ahead mode, and a sync for each commit."""
    connection = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    return connection


class ByHand(EditSubject):
    """One insert in each commit."""

    name = "by hand (one insert)"
    has_titles = False

    async def open(self) -> None:
        self.database = self.folder / "by_hand.db"
        self.connection = connect(self.database)
        self.connection.executescript(SCHEMA)

    async def close(self) -> None:
        self.connection.close()

    def durability(self) -> str:
        return sqlite_durability(self.database, "FULL")

    async def start(self, name: str, texts: Sequence[str] = ()) -> str:
        self.insert((name, text) for text in texts)
        return name

    async def append(self, thread: str, text: str) -> None:
        self.connection.execute(INSERT, (thread, _body(text)))

    async def take_back(self, thread: str) -> None:
        self.connection.execute(TAKE_BACK, (thread,))

    async def last(self, thread: str, count: int) -> Sequence[object]:
        rows = self.connection.execute(LAST, (thread, count)).fetchall()
        return [json.loads(body) for (body,) in reversed(rows)]

    def insert(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Append to several threads in one commit."""
        self.connection.execute("begin immediate")
        self.connection.executemany(INSERT, ((thread, _body(text)) for thread, text in pairs))
        self.connection.execute("commit")


class ByHandBatched(ByHand, BatchingThreadSubject):
    """One insert of each caller in a commit: the best that a group commit could do."""

    name = "by hand, in batches"

    def append_together(self, pairs: Sequence[tuple[str, str]]) -> None:
        self.insert(pairs)


def _body(text: str) -> str:
    return json.dumps({"role": "user", "content": text})
