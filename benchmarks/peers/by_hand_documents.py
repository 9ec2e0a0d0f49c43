"""The floor of documents: a table of keys and values, by hand and without a store."""

import json
from collections.abc import Sequence

from benchmarks.peers.base import DocumentSubject, key_of, sqlite_durability
from benchmarks.peers.by_hand import connect
from benchmarks.texts import payload

SCHEMA = """
    create table if not exists documents (collection text not null, key text not null,
        value text not null, primary key (collection, key));
    create table if not exists messages (id integer primary key, body text not null);
"""
PUT = """
    insert into documents values ('known', ?, ?)
    on conflict (collection, key) do update set value = excluded.value
"""
LOAD = "select value from documents where collection = 'known' and key = ?"
PAGE = """
    select key, value from documents where collection = 'known' and key > ? order by key limit ?
"""


class DocumentsByHand(DocumentSubject):
    """A row for each document."""

    name = "by hand (the floor)"

    async def open(self) -> None:
        self.database = self.folder / "by_hand.db"
        await self.connect()
        self.connection.executescript(SCHEMA)

    async def close(self) -> None:
        await self.disconnect()

    async def connect(self) -> None:
        self.connection = connect(self.database)

    async def disconnect(self) -> None:
        self.connection.close()

    def durability(self) -> str:
        return sqlite_durability(self.database, "FULL")

    async def fill(self, count: int) -> None:
        self.connection.execute("begin immediate")
        rows = ((key_of(number), payload(number)) for number in range(count))
        self.connection.executemany(PUT, rows)
        self.connection.execute("commit")

    async def put(self, number: int, text: str) -> None:
        self.connection.execute(PUT, (key_of(number), json.dumps(text)))

    async def load(self, number: int) -> object:
        (value,) = self.connection.execute(LOAD, (key_of(number),)).fetchone()
        return json.loads(value)

    async def page(self, after: int, count: int) -> Sequence[object]:
        rows = self.connection.execute(PAGE, (key_of(after), count)).fetchall()
        return [(key, json.loads(value)) for key, value in rows]

    async def say(self, text: str) -> None:
        self.connection.execute("insert into messages (body) values (?)", (json.dumps(text),))
