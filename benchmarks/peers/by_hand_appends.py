"""The floor of an append: the statements that it needs in SQLite, by hand and without a store."""

import json
from collections.abc import Sequence
from itertools import count

from benchmarks.peers.base import ThreadSubject, sqlite_durability
from benchmarks.peers.by_hand import connect

SCHEMA = """
    create table threads (key integer primary key, id text not null unique,
        version integer not null, messages integer not null, updated_at integer not null);
    create table messages (thread integer, position integer, at integer not null,
        id text not null, visibility text not null, run_id text, body text not null,
        primary key (thread, position)) without rowid;
    create index messages_by_id on messages (thread, id);
    create table deltas (thread integer, version integer, at integer not null, body text not null,
        primary key (thread, version)) without rowid;
"""
CREATE = "insert into threads (id, version, messages, updated_at) values (?, 0, 0, 0)"
READ_HEAD = "select key, version, messages from threads where id = ?"
INSERT_MESSAGE = "insert into messages values (?, ?, ?, ?, 'all', null, ?)"
INSERT_DELTA = "insert into deltas values (?, ?, ?, '[1]')"
UPDATE_HEAD = "update threads set version = ?, messages = ?, updated_at = ? where key = ?"
LAST = """
    select body from messages join threads on thread = key where threads.id = ?
    order by position desc limit ?
"""


class AppendsByHand(ThreadSubject):
    """Read the head; insert the message and its delta; update the head; commit."""

    name = "by hand (the same statements)"

    async def open(self) -> None:
        self.database = self.folder / "by_hand.db"
        self.connection = connect(self.database)
        self.connection.executescript(SCHEMA)
        self.times = count(1)

    async def close(self) -> None:
        self.connection.close()

    def durability(self) -> str:
        return sqlite_durability(self.database, "FULL")

    async def start(self, name: str, texts: Sequence[str] = ()) -> str:
        self.connection.execute(CREATE, (name,))
        for text in texts:
            await self.append(name, text)
        return name

    async def append(self, thread: str, text: str) -> None:
        now, execute = next(self.times), self.connection.execute
        body = json.dumps({"role": "user", "content": text})
        execute("begin immediate")
        key, version, messages = execute(READ_HEAD, (thread,)).fetchone()
        execute(INSERT_MESSAGE, (key, messages, now, f"{now:032x}", body))
        execute(INSERT_DELTA, (key, version + 1, now))
        execute(UPDATE_HEAD, (version + 1, messages + 1, now, key))
        execute("commit")

    async def last(self, thread: str, count: int) -> Sequence[object]:
        rows = self.connection.execute(LAST, (thread, count)).fetchall()
        return [json.loads(body) for (body,) in reversed(rows)]
