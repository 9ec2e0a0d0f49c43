"""A fixed history of a store: replayed here, or written by a process that may be killed.

`python -m tests.sqlite.history PATH COUNT SIZE` says a commit's number when it is acknowledged, and
waits at the end with the store open.
"""

import asyncio
import hashlib
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path

from tests.cli.support import PROJECT
from tests.sqlite.support import opened
from treadle import MailboxEntry, Message, RunRecord, Store, Thread, ThreadChangeSet
from treadle.testing._harness.builders import sets

BEGIN = 1_000_000
State = str


class Life:
    """Commits by their numbers, of every kind; each is one transaction."""

    def __init__(self, path: Path, size: int) -> None:
        self.store = opened(path, lambda: BEGIN + self._number)
        self._number = 0
        self._size = size

    async def commit(self, number: int) -> None:
        """Make the commit of this number."""
        self._number = number
        store, key = self.store, f"t{number // 8 % 5}"
        match number % 8:
            case 0:
                await store.threads.save(Thread(id=key, resource_id="owner"))
            case 1:
                await store.threads.append(key, self._changes())
            case 2:
                await store.mailboxes.enqueue(await self._entry(f"m{number % 3}"))
            case 3:
                entry = await self._entry(key)
                async with store.batch() as step:
                    step.threads.append(key, self._changes())
                    step.mailboxes.enqueue(entry)
                    step.runs.upsert(RunRecord(run_id=f"r{number}", thread_id=key))
            case 4 | 6:
                await store.mailboxes.claim(limit=1, consumer="w")
            case 5:
                await self._settle(store)
            case _:
                await store.mailboxes.interrupt(f"m{number % 3}")

    def _changes(self) -> ThreadChangeSet:
        text = f"{self._number:8}" * (self._size // 8)
        message = Message(id=f"m{self._number}", role="user", content=text)
        return ThreadChangeSet(messages=(message,), patches=(sets("n", self._number),))

    async def _entry(self, mailbox_id: str) -> MailboxEntry:
        state = await self.store.mailboxes.load(mailbox_id)
        return MailboxEntry(
            entry_id=f"e{self._number}",
            mailbox_id=mailbox_id,
            payload={"n": self._number},
            generation=state.current_generation if state else 0,
        )

    async def _settle(self, store: Store) -> None:
        held = (await store.mailboxes.list_entries(status="claimed")).items
        async with store.batch() as step:
            step.mailboxes.purge(BEGIN + self._number - 16)
            for entry in held[:1]:
                step.mailboxes.ack(entry)


def state_of(path: Path) -> State:
    """The contents of a sound file, without tokens, which differ each time."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        listed = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        tables = sorted(name for (name,) in listed)
        digest = hashlib.sha256()
        for table in tables:
            rows = connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2")
            columns = [column for column, *_ in rows.description]
            for row in rows:
                values = dict(zip(columns, row, strict=True))
                values.pop("claim_token", None)
                digest.update(repr((table, values)).encode())
    return digest.hexdigest() if tables else ""


async def replay(path: Path, count: int, size: int, since: int = -2) -> AsyncGenerator[State]:
    """The state after each commit since a number; -2 is before there are tables, -1 empty ones."""
    life = Life(path, size)
    if since <= -2:
        yield ""
    async with life.store:
        if since <= -1:
            yield state_of(path)
        for number in range(count):
            await life.commit(number)
            if number >= since:
                yield state_of(path)


def start(path: Path, count: int, size: int) -> "subprocess.Popen[str]":
    """Write the same history in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.sqlite.history", str(path), str(count), str(size)],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


async def _live(path: str, count: str, size: str) -> None:
    life = Life(Path(path), int(size))
    async with life.store:
        print("open", flush=True)
        for number in range(int(count)):
            await life.commit(number)
            print(number, flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    asyncio.run(_live(*sys.argv[1:]))
