"""Treadle on plain files, beside the same files and syncs by hand."""

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from pathlib import Path

import treadle
from benchmarks.floors import Floor, sync_floor
from benchmarks.measure import median_of, medians_in_turn, timed
from benchmarks.peers.base import Subject
from benchmarks.peers.treadle_store import (
    ENTRIES_EACH,
    TreadleFiles,
    claim_and_ack,
    says,
    send_all,
)
from benchmarks.sizes import Sizes
from benchmarks.tables import Column, Row
from benchmarks.texts import SIZE, payload, text, texts
from benchmarks.workloads.base import Task, Workload
from treadle import Message, Thread


def work(sizes: Sizes) -> str:
    """Describe the work."""
    return (
        f"one caller appends 1 KB to threads of growing length; {sizes.callers} callers append to "
        f"a thread each, {sizes.appends_each_in_files} messages; one entry is sent, and one is "
        "claimed and acknowledged, with queues of growing depth, "
        f"{sizes.entries_each} entries in a mailbox; {sizes.in_flight} entries are claimed at once "
        "and acknowledged at once. The floor: an append to a file and fdatasync; where a thread is "
        "rewritten, also a new file and a rename"
    )


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """Return the columns of the table."""
    return (
        Column("there", "before"),
        Column("median", "median, µs"),
        Column("per_second", "a second"),
        Column("times_floor", "x floor", "{:.2f}"),
        Column("floor", "floor, µs"),
    )


async def measure(kind: type[Subject], task: Task) -> list[Row]:
    """Measure the files backend."""
    folder = Path(task.folder)
    texts(task.sizes.appends_each_in_files)  # created before anything is timed
    return [
        *[await _append(folder, task.sizes, length) for length in task.sizes.lengths_in_files],
        await _repeat(folder, task.sizes, "append, many callers", _append_at_once),
        *[
            row
            for depth in task.sizes.depths_in_files
            for row in await _drain(folder, task.sizes, depth)
        ],
        await _repeat(folder, task.sizes, "claim + ack, many", _drain_at_once),
    ]


async def _append(folder: Path, sizes: Sizes, length: int) -> Row:
    async with treadle.open_store(folder / f"length-{length}") as store:
        messages = tuple(map(Message.user, texts(length)))
        await store.threads.create(Thread(id="t", messages=messages))
        await store.threads.append(
            "t", says(text(0))
        )  # the first append also writes the whole thread

        async def append(number: int) -> None:
            await store.threads.append("t", says(text(number)))

        # so few appends that the thread stays about as long as the row says
        operations = min(sizes.operations, max(length, 10))
        with Floor(folder, document=length * (SIZE + 100)) as floor:
            taken, by_hand = await medians_in_turn(operations, append, floor.write)
    return _row("append", taken, by_hand, "floor: sync and document", there=length)


async def _repeat(
    folder: Path, sizes: Sizes, what: str, measure_once: Callable[[Path, Sizes], Awaitable[float]]
) -> Row:
    """Measure work that is done by many callers at once, beside syncs."""
    floor = sync_floor(folder, sizes.operations)
    taken = [await measure_once(folder / f"{what} {run}", sizes) for run in range(sizes.repeats)]
    return _row(what, statistics.median(taken), floor, "floor: sync")


async def _append_at_once(folder: Path, sizes: Sizes) -> float:
    async with treadle.open_store(folder) as store:
        for number in range(sizes.callers):
            await store.threads.create(Thread(id=f"t{number}"))

        async def append_all(thread: int) -> None:
            for number in range(sizes.appends_each_in_files):
                await store.threads.append(f"t{thread}", says(text(number)))

        taken = await timed(asyncio.gather(*map(append_all, range(sizes.callers))))
    return taken / (sizes.callers * sizes.appends_each_in_files) * 1e6


async def _drain_at_once(folder: Path, sizes: Sizes) -> float:
    async with treadle.open_store(folder) as store:
        payloads = map(payload, range(sizes.entries))
        await send_all(store, payloads, max(1, sizes.entries // ENTRIES_EACH))

        async def work() -> None:
            while entries := await store.mailboxes.claim(sizes.in_flight, consumer="bench"):
                await asyncio.gather(*map(store.mailboxes.ack, entries))

        return await timed(work()) / sizes.entries * 1e6


async def _drain(folder: Path, sizes: Sizes, depth: int) -> list[Row]:
    floor = sync_floor(folder, sizes.operations)
    mailboxes = max(1, depth // sizes.entries_each)
    store_folder = folder / f"depth-{depth}"
    async with treadle.open_store(store_folder, durability="relaxed") as store:
        await send_all(store, map(payload, range(depth)), mailboxes)
    async with treadle.open_store(store_folder) as store:
        await store.mailboxes.send("m0", payload(0))  # builds the index

        async def send(number: int) -> None:
            await store.mailboxes.send(f"m{number % mailboxes}", payload(number))

        async def work_one(_: int) -> None:
            await claim_and_ack(store)

        sent = await median_of(sizes.operations, send)
        worked = await median_of(min(sizes.operations, depth // 2), work_one)
    return [
        _row("enqueue", sent, floor, "floor: sync", there=depth),
        _row("claim + ack", worked, 2 * floor, "floor: 2 syncs", there=depth),
    ]


def _row(what: str, taken: float, floor: float, note: str, **there: int) -> Row:
    return Row(
        who=f"{TreadleFiles.name}, {what}",
        durability="full",
        figures={
            **there,
            "median": taken,
            "per_second": 1e6 / taken,
            "times_floor": taken / floor,
            "floor": floor,
        },
        note=note,
    )


WORKLOAD = Workload(
    name="files",
    about="appends and a queue on plain files, beside the same syncs and documents by hand",
    work=work,
    columns=columns,
    subjects=(TreadleFiles,),
    measure=measure,
)
