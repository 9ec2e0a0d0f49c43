"""The floor of lists of threads: the same questions in SQL, by hand and without a store."""

import time
from collections.abc import Sequence

from benchmarks.peers.base import HeadSubject, sqlite_durability
from benchmarks.peers.by_hand import connect

SCHEMA = """
    create table threads (id text primary key, owner text not null, title text not null,
        version bigint not null, message_count bigint not null, updated_at bigint not null);
    create index threads_of_owner on threads (owner, updated_at, id);
    create table messages (thread text not null, position bigint not null, body text not null,
        primary key (thread, position));
"""
COLUMNS = "id, owner, title, version, message_count, updated_at"


class HeadsByHand(HeadSubject):
    """A row for each thread, and an index of its owner's threads by time."""

    name = "by hand (the floor)"

    async def open(self) -> None:
        self.database = self.folder / "by_hand.db"
        self.connection = connect(self.database)
        self.connection.executescript(SCHEMA)

    async def close(self) -> None:
        self.connection.close()

    def durability(self) -> str:
        return sqlite_durability(self.database, "FULL")

    async def fill(self, threads: int, texts: Sequence[str]) -> None:
        self.connection.execute("begin immediate")
        for number in range(threads):
            head = (f"t{number}", "owner", f"about {number}", 0, len(texts), now_ms())
            self.connection.execute("insert into threads values (?, ?, ?, ?, ?, ?)", head)
            messages = ((f"t{number}", position, text) for position, text in enumerate(texts))
            self.connection.executemany("insert into messages values (?, ?, ?)", messages)
        self.connection.execute("commit")

    async def head(self, number: int) -> object:
        select = f"select {COLUMNS} from threads where id = ?"
        return self.connection.execute(select, (f"t{number}",)).fetchone()

    async def newest(self, count: int) -> Sequence[object]:
        select = (
            f"select {COLUMNS} from threads where owner = ?"
            " order by updated_at desc, id desc limit ?"
        )
        return self.connection.execute(select, ("owner", count)).fetchall()

    async def rename(self, number: int, title: str) -> None:
        update = "update threads set title = ?, updated_at = ? where id = ?"
        self.connection.execute(update, (title, now_ms(), f"t{number}"))


def now_ms() -> int:
    """Return the time in unix milliseconds."""
    return time.time_ns() // 10**6
