"""The files backend at work: appends, appenders, a queue."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

import weft
from benchmarks.floors import document_floor, sync_floor
from benchmarks.measure import Measure, median_of
from weft import Message, Thread, ThreadChangeSet

Tell = Callable[[str], None]


class FileSizes(msgspec.Struct, frozen=True, kw_only=True):
    """How much is done."""

    lengths: tuple[int, ...] = (10, 100, 1_000)
    depths: tuple[int, ...] = (1_000, 10_000, 100_000)
    operations: int = 300
    appenders: int = 64
    appends: int = 50
    mailboxes: int = 1_000


QUICK = FileSizes(
    lengths=(5, 10), depths=(50, 100), operations=10, appenders=8, appends=3, mailboxes=20
)


async def measure_all(folder: Path, sizes: FileSizes, tell: Tell) -> list[Measure]:
    """Measure everything."""
    measures: list[Measure] = []
    for part in (measure_appends, measure_appenders, measure_queue):
        measures += await part(folder, sizes, tell)
    return measures


def message(number: int) -> Message:
    """A message of 1 KB."""
    return Message(id=f"m{number}", role="user", content="x" * 1_000)


def says(number: int) -> ThreadChangeSet:
    """An append of one message."""
    return ThreadChangeSet(messages=(message(number),))


async def measure_appends(folder: Path, sizes: FileSizes, tell: Tell) -> list[Measure]:
    """One caller appends 1 KB, durably, to threads of growing length."""
    measures: list[Measure] = []
    for length in sizes.lengths:
        tell(f"append at {length:,} messages")
        async with weft.open_store(folder / f"length-{length}") as store:
            messages = tuple(message(-number - 1) for number in range(length))
            await store.threads.create(Thread(id="t", messages=messages))
            await store.threads.append("t", says(0))  # the first also writes the whole thread

            async def append(number: int, store: weft.Store = store) -> None:
                await store.threads.append("t", says(number + 1))

            # as many threads' worth of appends as keep the length about what it says
            taken = await median_of(min(sizes.operations, max(length, 10)), append)
        floor = document_floor(folder, sizes.operations, length * 1_100)
        measures.append(_measure(f"append at {length:,} messages", taken, "sync + document", floor))
    return measures


async def measure_appenders(folder: Path, sizes: FileSizes, tell: Tell) -> list[Measure]:
    """Many callers append 1 KB at a time, each durably, each to a thread of up to 50 messages."""
    tell(f"{sizes.appenders} concurrent appenders")
    floor = sync_floor(folder, sizes.operations)
    async with weft.open_store(folder / "appenders") as store:
        for number in range(sizes.appenders):
            await store.threads.create(Thread(id=f"t{number}"))

        async def append_all(thread: int) -> None:
            for number in range(sizes.appends):
                await store.threads.append(f"t{thread}", says(number))

        start = time.perf_counter()
        await asyncio.gather(*map(append_all, range(sizes.appenders)))
        taken = time.perf_counter() - start
    each = taken / (sizes.appenders * sizes.appends) * 1e6
    return [_measure(f"append, {sizes.appenders} callers", each, "sync", floor)]


async def measure_queue(folder: Path, sizes: FileSizes, tell: Tell) -> list[Measure]:
    """Enqueue one entry, and claim and ack one, with so many waiting."""
    measures: list[Measure] = []
    floor = sync_floor(folder, sizes.operations)
    for depth in sizes.depths:
        place = folder / f"depth-{depth}"
        await _fill(place, depth, sizes.mailboxes, tell)
        tell(f"claim and ack at depth {depth:,}")
        async with weft.open_store(place) as store:
            await store.mailboxes.send("m0", 0)  # builds the index

            async def send(number: int, store: weft.Store = store) -> None:
                await store.mailboxes.send(f"m{number % sizes.mailboxes}", {"n": number})

            async def work(_: int, store: weft.Store = store) -> None:
                [entry] = await store.mailboxes.claim(consumer="bench")
                await store.mailboxes.ack(entry)

            sent = await median_of(sizes.operations, send)
            worked = await median_of(sizes.operations, work)
        measures.append(_measure(f"enqueue at depth {depth:,}", sent, "sync", floor))
        measures.append(_measure(f"claim + ack at depth {depth:,}", worked, "2 syncs", 2 * floor))
    return measures


async def _fill(place: Path, depth: int, mailboxes: int, tell: Tell) -> None:
    async with weft.open_store(place, durability="relaxed") as store:
        for start in range(0, depth, 500):
            tell(f"filling a queue: {start:,} of {depth:,}")
            async with store.batch() as step:
                for number in range(start, min(start + 500, depth)):
                    step.mailboxes.send(f"m{number % mailboxes}", {"n": number})


def _measure(name: str, taken: float, floor: str, floor_taken: float) -> Measure:
    return Measure(
        name=name,
        durability="full",
        microseconds=round(taken, 1),
        per_second=round(1e6 / taken),
        floor=f"{floor}, {floor_taken:.0f} µs",
        times_floor=round(taken / floor_taken, 2),
    )
