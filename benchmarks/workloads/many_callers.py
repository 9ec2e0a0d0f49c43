"""Many concurrent callers, each of which appends to its own thread."""

import asyncio
import shutil
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import msgspec

from benchmarks.measure import medians
from benchmarks.peers import CONCURRENT_THREAD_STORES
from benchmarks.peers.base import (
    BatchingThreadSubject,
    BlockingThreadSubject,
    Subject,
    ThreadSubject,
)
from benchmarks.peers.by_hand import ByHand
from benchmarks.sizes import Sizes
from benchmarks.tables import Column, Row
from benchmarks.texts import text, texts
from benchmarks.workloads.base import Task, Workload, opened, title

TURN = 10
"""Each caller's appends before it is the floor's turn, so that a slow moment affects both."""


def work(sizes: Sizes) -> str:
    """Describe the work."""
    return (
        f"{sizes.callers} concurrent callers, each of which appends 1 KB messages to its own "
        "thread, one by one, each durable (LangGraph's blocking saver: as many OS threads)"
    )


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """Return the columns of the table."""
    return (
        Column("appends", "appends"),
        Column("per_second", "a second"),
        Column("times_floor", "x floor", "{:.2f}"),
        Column("floor", "floor a second"),
        Column("median", "median, ms", "{:,.2f}"),
        Column("slowest", "99 %, ms", "{:,.1f}"),
        Column("failed", "failed"),
    )


class Found(msgspec.Struct):
    """The times of appends, and the errors of those that failed."""

    total: float = 0
    """The time from the first append to the last, in seconds."""

    taken: list[float] = msgspec.field(default_factory=list)
    errors: Counter[str] = msgspec.field(default_factory=Counter)

    @property
    def per_second(self) -> float:
        """Return how many appends succeeded per second."""
        return (len(self.taken) - self.errors.total()) / self.total


async def measure(kind: type[Subject], task: Task) -> list[Row]:
    """Measure a store of threads."""
    thread_store = cast("type[ThreadSubject]", kind)
    sizes = task.sizes
    each = sizes.appends_each_slow if kind.slow else sizes.appends_each
    texts(each)  # created before anything is timed
    runs: list[dict[str, float]] = []
    errors: Counter[str] = Counter()
    durability = ""
    for _ in range(1 if kind.slow else sizes.repeats):
        folder = Path(task.folder)
        async with (
            opened(ByHand, folder / "floor") as floor,
            opened(thread_store, folder / "subject", task.store) as subject,
        ):
            found, floor_found = await _run(subject, floor, sizes.callers, each)
            durability = subject.durability()
        errors += found.errors
        runs.append(_figures(found, floor_found))
        shutil.rmtree(folder / "floor")
        shutil.rmtree(folder / "subject")
    note = "; ".join(f"{count} x {error}" for error, count in errors.items())
    row = Row(who=title(kind, task.store), durability=durability, figures=medians(runs), note=note)
    return [row]


async def _run(
    subject: ThreadSubject, floor: ThreadSubject, callers: int, each: int
) -> tuple[Found, Found]:
    found, floor_found = Found(), Found()
    names = [f"t{number}" for number in range(callers)]
    floor_threads = [await floor.start(name) for name in names]
    threads = [await subject.start(name) for name in names]
    for start in range(0, each, TURN):
        turn = min(TURN, each - start)
        await _append(floor, floor_threads, turn, floor_found)
        await _append(subject, threads, turn, found)
    return found, floor_found


async def _append(subject: ThreadSubject, threads: list[Any], each: int, found: Found) -> None:
    start = time.perf_counter()
    if isinstance(subject, BatchingThreadSubject):
        _append_together(subject, threads, each, found)
    elif isinstance(subject, BlockingThreadSubject):
        await _append_in_threads(subject, threads, each, found)
    else:
        await asyncio.gather(*(_append_all(subject, one, each, found) for one in threads))
    found.total += time.perf_counter() - start


async def _append_all(subject: ThreadSubject, thread: Any, each: int, found: Found) -> None:
    for number in range(each):
        start = time.perf_counter()
        try:
            await subject.append(thread, text(number))
        except Exception as error:  # counted: the database of a peer may be locked
            found.errors[_text_of(error)] += 1
        found.taken.append(time.perf_counter() - start)


async def _append_in_threads(
    subject: BlockingThreadSubject, threads: list[Any], each: int, found: Found
) -> None:
    def append_all(thread: Any) -> None:
        for number in range(each):
            start = time.perf_counter()
            try:
                subject.append_now(thread, text(number))
            except Exception as error:  # as above
                found.errors[_text_of(error)] += 1
            found.taken.append(time.perf_counter() - start)

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(len(threads)) as pool:
        await asyncio.gather(*(loop.run_in_executor(pool, append_all, one) for one in threads))


def _append_together(
    subject: BatchingThreadSubject, threads: list[Any], each: int, found: Found
) -> None:
    for number in range(each):
        start = time.perf_counter()
        subject.append_together([(thread, text(number)) for thread in threads])
        found.taken += [time.perf_counter() - start] * len(threads)


def _figures(found: Found, floor_found: Found) -> dict[str, float]:
    ordered = sorted(found.taken)
    rate, floor_rate = found.per_second, floor_found.per_second
    return {
        "appends": len(ordered),
        "per_second": rate,
        "times_floor": floor_rate / rate if rate else float("inf"),
        "floor": floor_rate,
        "median": ordered[len(ordered) // 2] * 1e3,
        "slowest": ordered[len(ordered) * 99 // 100] * 1e3,
        "failed": found.errors.total(),
    }


def _text_of(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:80]


WORKLOAD = Workload(
    name="many-callers",
    about="many concurrent callers append, each to its own thread",
    work=work,
    columns=columns,
    subjects=CONCURRENT_THREAD_STORES,
    measure=measure,
)
