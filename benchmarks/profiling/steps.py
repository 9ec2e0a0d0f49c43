"""`python -m benchmarks.profiling.steps`: what each part of an append on SQLite takes.

From the same statements by hand to `store.threads.append`, each subject adds one part to the one
before. They take turns, each with a database of its own, so the difference between two of them is
the part. The queue of a thread and a sync are measured by themselves, too.
"""

import argparse
import asyncio
import os
import sqlite3
import statistics
import tempfile
import time
from abc import abstractmethod
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import msgspec

import treadle
from benchmarks.peers.base import Subject
from benchmarks.peers.by_hand_appends import AppendsByHand
from benchmarks.tables import Column, Row, Table, lines
from benchmarks.texts import text, texts
from treadle import Message, Thread, ThreadChangeSet
from treadle.backends._damage import DamageLog
from treadle.backends._deadline import CALL_SECONDS, Patience
from treadle.backends._group_thread import GroupThread
from treadle.backends.base import Durability
from treadle.backends.model.tables import VersionSource
from treadle.backends.sql.commit import commit
from treadle.backends.sql.program import Program, Read, Write
from treadle.backends.sql.rows import pair_list
from treadle.backends.sqlite._connection import connect, transaction
from treadle.backends.sqlite._errors import translate_errors
from treadle.backends.sqlite._execution import run
from treadle.backends.sqlite._fair_lock import FairFileLock
from treadle.backends.sqlite._open_files import OpenFiles
from treadle.clock import system_clock
from treadle.commands import AppendThread
from treadle.core.commands import Commands, check_batch
from treadle.core.hints import Hint

TURN = 10
WARM = 5
"""Turns before those that are counted."""
THREAD = "t"
_FRAME_HEADER, _LOG_HEADER = 24, 32


class Step(Subject):
    """An append with some of the parts that Treadle's has."""

    page_bytes = 8192
    has_log = True

    def __init__(self, folder: Path, store: str, durability: Durability) -> None:
        super().__init__(folder, store)
        self.database = folder / "steps.db"
        self.synced: Durability = durability

    def durability(self) -> str:
        return self.synced

    @abstractmethod
    async def append(self, content: str) -> None:
        """Append to the one thread."""

    async def close(self) -> None:
        """Nothing to close."""


class ByHand(Step):
    """The floor: the benchmark's own tables, in pages of 4 kB."""

    name = "by hand, the benchmark's tables"
    page_bytes = 4096

    async def open(self) -> None:
        self.by_hand = AppendsByHand(self.folder / "by_hand", "")
        await self.by_hand.open()
        self.database = self.by_hand.database
        if self.synced == "relaxed":
            self.by_hand.connection.execute("pragma synchronous = normal")
        await self.by_hand.start(THREAD)

    async def append(self, content: str) -> None:
        await self.by_hand.append(THREAD, content)

    async def close(self) -> None:
        await self.by_hand.close()


class OurTables(Step):
    """The same by hand in Treadle's tables, with its indexes, page size and secure deletion."""

    name = "+ Treadle's tables"

    async def open(self) -> None:
        async with treadle.open_store(f"sqlite:///{self.database}") as store:
            await store.threads.create(Thread(id=THREAD))
        path = str(self.database)
        self.connection = connect(path, self.synced, Patience.of(CALL_SECONDS))

    async def close(self) -> None:
        self.connection.close()

    async def append(self, content: str) -> None:
        self.write(content)

    def write(self, content: str) -> None:
        """Read the head and whether the message is known; write three rows; commit."""
        now, execute = system_clock(), self.connection.execute
        message = Message.user(content)
        execute("BEGIN IMMEDIATE")
        [(key, version, count)] = execute(
            "SELECT thread_key, version, message_count FROM threads WHERE thread_id = ?", (THREAD,)
        ).fetchall()
        known = "SELECT position FROM messages WHERE thread_key = ? AND message_id = ?"
        execute(known, (key, f'"{message.id}"')).fetchall()
        execute(
            "UPDATE threads SET version = ?, updated_at = ?, message_count = ?"
            " WHERE thread_key = ?",
            (version + 1, now, count + 1, key),
        )
        body = msgspec.json.encode(message).decode()
        execute(
            "INSERT INTO messages VALUES (?, ?, ?, ?, 'all', NULL, ?)",
            (key, count, now, f'"{message.id}"', body),
        )
        execute("INSERT INTO deltas VALUES (?, ?, ?, ?)", (key, version + 1, now, f"[{count}]"))
        execute("COMMIT")


class OurStatements(OurTables):
    """The statements that Treadle runs, whose values are bound by their names."""

    name = "+ Treadle's statements"

    def write(self, content: str) -> None:
        """Run the statements that a commit of Treadle runs."""
        self.connection.execute("BEGIN IMMEDIATE")
        run(self.connection, _statements(system_clock(), Message.user(content)))
        self.connection.execute("COMMIT")


def _statements(now: int, message: Message) -> Program[None]:
    [[(_, version, _, count, patches, key)], _] = yield (
        Read("load_threads_for_update", {"ids": [THREAD]}),
        Read("load_message_ids", {"pairs": pair_list([(THREAD, str(message.id))])}),
    )
    head = {"thread_id": THREAD, "version": version + 1, "updated_at": now}
    part = {"thread_id": THREAD, "thread_key": key, "committed_at": now}
    shown = {"message_id": f'"{message.id}"', "visibility": "all", "run_id": None}
    body = msgspec.json.encode(message).decode()
    yield (
        Write("update_thread", [{**head, "message_count": count + 1, "patch_count": patches}]),
        Write("insert_message", [{**part, **shown, "position": count, "body": body}]),
        Write("insert_delta", [{**part, "version": version + 1, "body": f"[{count}]"}]),
    )


class Guarded(OurStatements):
    """The same behind the lock of writers, after a look at the files, and with hints."""

    name = "+ lock, files in place, hints"

    async def open(self) -> None:
        await super().open()
        self.lock = FairFileLock(str(self.database))
        self.files = OpenFiles(str(self.database))

    async def close(self) -> None:
        self.lock.close()
        await super().close()

    async def append(self, content: str) -> None:
        with translate_errors(str(self.database)), self.lock.hold(Patience.of(CALL_SECONDS)):
            self.files.require_in_place()
            self.write(content)
            self.lock.give_hints({Hint(kind="thread", id=THREAD)})


class Modelled(Guarded):
    """The model decides what is read and written: the working set, the commands, the checks."""

    name = "+ the model, by a program"

    async def open(self) -> None:
        await super().open()
        self.damage = DamageLog(str(self.database))
        self.versions = VersionSource()

    async def append(self, content: str) -> None:
        self.carry_out([_checked(content)])

    def carry_out(self, batches: list[Commands]) -> list[Any]:
        """Commit batches, as the store's thread does."""
        patience, hints = Patience.of(CALL_SECONDS), set[Hint]()
        with translate_errors(str(self.database)), self.lock.hold(patience):
            with transaction(self.connection, "IMMEDIATE", patience):
                self.files.require_in_place()
                now = system_clock()
                program = commit(batches, now, self.damage, self.versions, hints)
                outcomes = run(self.connection, program)
            self.lock.give_hints(hints)
        return outcomes


class Handed(Modelled):
    """The same on a thread, which the event loop hands the call to and is woken by."""

    name = "+ on a thread"

    async def open(self) -> None:
        await super().open()
        self.thread = GroupThread("steps", self.carry_out)
        self.thread.start()

    async def close(self) -> None:
        await self.thread.close()
        await super().close()

    async def append(self, content: str) -> None:
        await self.thread.ask(_checked(content))


class Whole(Step):
    """`store.threads.append`."""

    name = "= treadle"

    async def open(self) -> None:
        self.opened = treadle.open_store(f"sqlite:///{self.database}", durability=self.synced)
        await self.opened.open()
        await self.opened.threads.create(Thread(id=THREAD))

    async def close(self) -> None:
        await self.opened.close()

    async def append(self, content: str) -> None:
        await self.opened.threads.append(THREAD, Message.user(content))


class OnlyTheThread(Step):
    """A call to a thread that does nothing."""

    name = "only: a thread and back"
    has_log = False

    async def open(self) -> None:
        self.thread: GroupThread[str] = GroupThread("steps", lambda calls: [None] * len(calls))
        self.thread.start()

    async def close(self) -> None:
        await self.thread.close()

    async def append(self, content: str) -> None:
        await self.thread.ask(content)


class OnlyTheSync(Step):
    """An append to a file, and a sync of it."""

    name = "only: write 4 kB and sync"
    has_log = False

    async def open(self) -> None:
        self.file = os.open(self.folder / "file", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    async def close(self) -> None:
        os.close(self.file)

    async def append(self, content: str) -> None:
        os.write(self.file, bytes(4096))
        if self.synced == "full":
            os.fdatasync(self.file)


STEPS: tuple[type[Step], ...] = (
    ByHand,
    OurTables,
    OurStatements,
    Guarded,
    Modelled,
    Handed,
    Whole,
    OnlyTheThread,
    OnlyTheSync,
)


def _checked(content: str) -> Commands:
    changes = ThreadChangeSet(messages=(Message.user(content),))
    return check_batch((AppendThread(thread_id=THREAD, changes=changes),))


class _Taken(msgspec.Struct):
    """What the turns of a step took, for each append in µs."""

    wall: list[float] = []
    cpu: list[float] = []


async def measure(folder: Path, durability: Durability, turns: int) -> list[Row]:
    """Measure all steps in turns."""
    async with AsyncExitStack() as ending:
        steps: list[Step] = []
        for number, kind in enumerate(STEPS):
            step = kind(folder / f"{durability} {number}", "", durability)
            await step.open()
            ending.push_async_callback(step.close)
            steps.append(step)
        taken = [_Taken() for _ in steps]
        for turn in range(turns + WARM):
            for step, found in zip(steps, taken, strict=True):
                wall, cpu = time.perf_counter(), time.process_time()
                for number in range(turn * TURN, (turn + 1) * TURN):
                    await step.append(text(number))
                if turn >= WARM:
                    found.wall.append((time.perf_counter() - wall) / TURN * 1e6)
                    found.cpu.append((time.process_time() - cpu) / TURN * 1e6)
        pages = [await _pages(step) for step in steps]
    return [
        Row(
            who=step.name,
            durability=durability,
            figures={
                "wall": statistics.median(found.wall),
                "cpu": statistics.median(found.cpu),
                "times": statistics.median(found.wall) / statistics.median(taken[0].wall),
                "pages": logged,
                "bytes": logged * (step.page_bytes + _FRAME_HEADER) / 1024,
            },
        )
        for step, found, logged in zip(steps, taken, pages, strict=True)
    ]


async def _pages(step: Step) -> float:
    """Return how many pages an append writes to the log."""
    if not step.has_log:
        return 0
    with closing(sqlite3.connect(step.database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for number in range(TURN):
        await step.append(text(number))
    logged = os.stat(f"{step.database}-wal").st_size - _LOG_HEADER
    return logged / (step.page_bytes + _FRAME_HEADER) / TURN


def columns() -> tuple[Column, ...]:
    """Return the columns of the table."""
    return (
        Column("wall", "µs"),
        Column("times", "x by hand", "{:.2f}"),
        Column("cpu", "CPU, µs"),
        Column("pages", "pages logged", "{:.1f}"),
        Column("bytes", "kB logged"),
    )


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiling.steps")
    parser.add_argument("--turns", type=int, default=60, help=f"turns of {TURN} appends; 60")
    parser.add_argument("--folder", type=Path, help="a folder on the disk to measure")
    options = parser.parse_args()
    texts(TURN * (options.turns + WARM))  # created before anything is timed
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        for durability in ("full", "relaxed"):
            rows += asyncio.run(measure(Path(name), durability, options.turns))
    work = "one caller appends 1 KB to one thread; each row has one part more than the one above"
    print("\n".join(lines(Table(name="steps", work=work, columns=columns(), rows=tuple(rows)))))


if __name__ == "__main__":
    main()
