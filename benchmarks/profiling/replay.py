"""`python -m benchmarks.profiling.replay`: what the statements of a commit take, without Treadle.

The statements that a store on SQLite runs are recorded, and run again by hand on a copy of the
database. What they take is what no Python can save. Beside them are the floor of `make bench`,
which runs other statements; a call to a thread that does nothing; and the store. All figures are
CPU of this process for each operation, and the four take turns.
"""

import argparse
import asyncio
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import msgspec

import treadle
from benchmarks.peers.base import BatchingQueueSubject, QueueSubject
from benchmarks.peers.by_hand import ByHandBatched
from benchmarks.peers.by_hand_appends import AppendsByHand
from benchmarks.peers.by_hand_queue import ByHandQueue, ByHandQueueBatched
from benchmarks.peers.treadle_store import claim_and_ack, says, send_all
from benchmarks.tables import Column, Row, Table, lines
from benchmarks.texts import payload, text, texts
from treadle import Thread
from treadle.backends._deadline import CALL_SECONDS, Patience
from treadle.backends._group_thread import GroupThread
from treadle.backends.sqlite._connection import WRITER_CACHE_KIB, connect
from treadle.backends.sqlite.backend import SqliteBackend
from treadle.store.store import Store

CALLERS = 64
Statement: TypeAlias = tuple[bool, str, Any]
Work: TypeAlias = Callable[[Store, int], Awaitable[None]]


class Recording(sqlite3.Connection):
    """A connection that notes what is run on it."""

    said: ClassVar[list[Statement]] = []

    def execute(self, text: str, values: Any = ()) -> sqlite3.Cursor:
        """Run a statement."""
        self.said.append((False, text, values))
        return super().execute(text, values)

    def executemany(self, text: str, rows: Any) -> sqlite3.Cursor:
        """Run a statement for each row."""
        rows = list(rows)
        self.said.append((True, text, rows))
        return super().executemany(text, rows)


class Operation(msgspec.Struct, frozen=True):
    """What is measured, `callers` at a time."""

    name: str
    callers: int
    prepare: Work
    run: Work
    """With the number of operations of each caller."""
    floor: Callable[[Path, int], Awaitable[float]]
    """Returns the CPU that they take by hand, in seconds."""


async def _start_threads(store: Store, each: int) -> None:
    for caller in range(CALLERS):
        await store.threads.create(Thread(id=f"t{caller}"))


async def _append(store: Store, each: int) -> None:
    for number in range(each):
        await store.threads.append("t0", says(text(number)))


async def _append_at_once(store: Store, each: int) -> None:
    async def call(caller: int) -> None:
        for number in range(each):
            await store.threads.append(f"t{caller}", says(text(number)))

    await asyncio.gather(*map(call, range(CALLERS)))


async def _send(store: Store, each: int) -> None:
    await send_all(store, map(payload, range(each)), each)


async def _send_for_all(store: Store, each: int) -> None:
    await _send(store, CALLERS * each)


async def _settle(store: Store, each: int) -> None:
    for _ in range(each):
        await claim_and_ack(store)


async def _settle_at_once(store: Store, each: int) -> None:
    await asyncio.gather(*(_settle(store, each) for _ in range(CALLERS)))


async def _appends_by_hand(folder: Path, each: int) -> float:
    subject = AppendsByHand(folder, "")
    await subject.open()
    await subject.start("t")
    start = time.process_time()
    for number in range(each):
        await subject.append("t", text(number))
    taken = time.process_time() - start
    await subject.close()
    return taken


async def _batches_by_hand(folder: Path, each: int) -> float:
    subject = ByHandBatched(folder, "")
    await subject.open()
    threads = [await subject.start(f"t{caller}") for caller in range(CALLERS)]
    start = time.process_time()
    for number in range(each):
        subject.append_together([(thread, text(number)) for thread in threads])
    taken = time.process_time() - start
    await subject.close()
    return taken


async def _filled(subject: QueueSubject, count: int) -> None:
    await subject.open()
    await subject.fill([payload(number) for number in range(count)])


async def _queue_by_hand(folder: Path, each: int) -> float:
    subject = ByHandQueue(folder, "")
    await _filled(subject, each)
    start = time.process_time()
    for _ in range(each):
        await subject.ack(await subject.claim())
    taken = time.process_time() - start
    await subject.close()
    return taken


async def _queue_batches_by_hand(folder: Path, each: int) -> float:
    subject: BatchingQueueSubject = ByHandQueueBatched(folder, "")
    await _filled(subject, CALLERS * each)
    start = time.process_time()
    for _ in range(each):
        await subject.ack_several(await subject.claim_several(CALLERS))
    taken = time.process_time() - start
    await subject.close()
    return taken


OPERATIONS = (
    Operation("append", 1, _start_threads, _append, _appends_by_hand),
    Operation("append, 64 callers", CALLERS, _start_threads, _append_at_once, _batches_by_hand),
    Operation("claim + ack", 1, _send, _settle, _queue_by_hand),
    Operation(
        "claim + ack, 64 in flight",
        CALLERS,
        _send_for_all,
        _settle_at_once,
        _queue_batches_by_hand,
    ),
)


async def _recorded(file: Path, operation: Operation, each: int) -> Sequence[Statement]:
    Recording.said.clear()
    async with Store(SqliteBackend(str(file), make_writer=Recording)) as store:
        Recording.said.clear()
        await operation.run(store, each)
        return list(Recording.said)


def _replayed(file: Path, statements: Sequence[Statement]) -> float:
    patience = Patience.of(CALL_SECONDS)
    connection = connect(str(file), "full", patience, cache_kib=WRITER_CACHE_KIB)
    start = time.process_time()
    for has_rows, words, values in statements:
        if has_rows:
            connection.executemany(words, values)
        else:
            connection.execute(words, values).fetchall()
    taken = time.process_time() - start
    connection.close()
    return taken


async def _by_store(file: Path, operation: Operation, each: int) -> float:
    async with treadle.open_store(f"sqlite:///{file}") as store:
        start = time.process_time()
        await operation.run(store, each)
        return time.process_time() - start


async def _handed(callers: int, each: int) -> float:
    thread: GroupThread[int] = GroupThread("replay", lambda calls: [None] * len(calls))
    thread.start()

    async def call() -> None:
        for number in range(each):
            await thread.ask(number)

    start = time.process_time()
    await asyncio.gather(*(call() for _ in range(callers)))
    taken = time.process_time() - start
    await thread.close()
    return taken


async def measure(folder: Path, operation: Operation, each: int, turns: int) -> Row:
    """Measure an operation, `each` times by each caller in each turn."""
    original = folder / "original.db"
    async with treadle.open_store(f"sqlite:///{original}") as store:
        await operation.prepare(store, each)
    taken: dict[str, list[float]] = {"floor": [], "said": [], "hop": [], "store": []}
    for turn in range(turns):
        copies = [folder / f"{turn}-{name}.db" for name in ("recorded", "replayed", "store")]
        for copy in copies:
            shutil.copy(original, copy)
        statements = await _recorded(copies[0], operation, each)
        taken["floor"].append(await operation.floor(folder / f"{turn}-floor", each))
        taken["said"].append(_replayed(copies[1], statements))
        taken["hop"].append(await _handed(operation.callers, each))
        taken["store"].append(await _by_store(copies[2], operation, each))
    count = each * operation.callers
    figures = {name: statistics.median(found) / count * 1e6 for name, found in taken.items()}
    figures["limit"] = figures["floor"] / figures["said"]
    figures["part"] = figures["floor"] / figures["store"]
    return Row(who=operation.name, durability="full", figures=figures)


def columns() -> tuple[Column, ...]:
    """Return the columns of the table."""
    return (
        Column("floor", "floor, µs", "{:.1f}"),
        Column("said", "its statements by hand, µs", "{:.1f}"),
        Column("hop", "thread and back, µs", "{:.1f}"),
        Column("store", "Treadle, µs", "{:.1f}"),
        Column("limit", "floor / statements", "{:.2f}"),
        Column("part", "floor / Treadle", "{:.2f}"),
    )


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiling.replay")
    parser.add_argument("--each", type=int, default=200, help="operations of one caller; 200")
    parser.add_argument("--turns", type=int, default=7, help="turns; 7")
    parser.add_argument("--folder", type=Path, help="a folder on the disk to measure")
    options = parser.parse_args()
    texts(options.each)  # created before anything is timed
    rows: list[Row] = []
    for operation in OPERATIONS:
        each = options.each if operation.callers == 1 else max(options.each // 10, 1)
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            rows.append(asyncio.run(measure(Path(name), operation, each, options.turns)))
    work = "CPU of each operation on SQLite; texts of 1 KB, entries of 200 bytes"
    print("\n".join(lines(Table(name="replay", work=work, columns=columns(), rows=tuple(rows)))))


if __name__ == "__main__":
    main()
