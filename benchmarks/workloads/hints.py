"""Hints: how late a follower of a thread is, and what it costs to listen while nothing happens."""

import asyncio
import statistics
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TypeAlias, cast

import treadle
from benchmarks.peers.base import Subject
from benchmarks.peers.postgres.treadle_store import TreadleThreadsOnPostgres
from benchmarks.peers.treadle_store import TreadleThreads
from benchmarks.sizes import Sizes
from benchmarks.tables import Column, Row
from benchmarks.workloads.base import Task, Workload, opened, title_of

Measured: TypeAlias = TreadleThreads | TreadleThreadsOnPostgres
PAUSE_SECONDS = 0.02
"""Between two appends, so that each is heard of by itself."""


def work(sizes: Sizes) -> str:
    """Describe the work."""
    return (
        f"from an append to its delta at a follower of the thread, {sizes.operations:,} times, by "
        "another handle as if in another process (in memory by the same); then 1 and "
        f"{sizes.listeners:,} listeners while nothing happens"
    )


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """Return the columns of the table."""
    return (
        Column("median", "median, ms", "{:,.1f}"),
        Column("slow", "19 of 20, ms", "{:,.1f}"),
        Column("one", "idle, % CPU", "{:.2f}"),
        Column("many", f"idle {sizes.listeners:,}, % CPU", "{:.2f}"),
    )


async def measure(kind: type[Subject], task: Task) -> list[Row]:
    """Measure a store."""
    folder, sizes = Path(task.folder) / "store", task.sizes
    async with opened(cast("type[Measured]", kind), folder, task.store) as subject:
        store = subject.opened
        await store.threads.create(treadle.Thread(id="t"))
        async with treadle.open_store(subject.url()) as other:
            writer = other if store.capabilities.shared else store
            late = await _latencies(store, writer, sizes.operations)
        figures = {
            "median": statistics.median(late) * 1e3,
            "slow": sorted(late)[len(late) * 19 // 20] * 1e3,
            "one": await _idle(store, 1, sizes.idle_seconds),
            "many": await _idle(store, sizes.listeners, sizes.idle_seconds),
        }
        durability = subject.durability()
    return [Row(who=title_of(kind, task), durability=durability, figures=figures)]


async def _latencies(store: treadle.Store, writer: treadle.Store, count: int) -> list[float]:
    """Return how much later than its append each delta came, in seconds."""
    appended: dict[int, float] = {}
    came: dict[int, float] = {}

    async def follow() -> None:
        async for item in store.threads.follow("t", 0):
            if isinstance(item, treadle.ThreadDelta):
                came[item.version] = time.perf_counter()
            if len(came) == count:
                return

    following = asyncio.create_task(follow())
    for _ in range(count):
        done = await writer.threads.append("t", treadle.Message.user("hello"))
        appended[done.version] = time.perf_counter()
        await asyncio.sleep(PAUSE_SECONDS)
    await following
    return [max(came[version] - appended[version], 0.0) for version in appended]


async def _idle(store: treadle.Store, listeners: int, seconds: float) -> float:
    """Return how much of a core is used while so many listen, in percent."""
    hints = [store.changes(thread_id=f"t{number}") for number in range(listeners)]
    waiting = [asyncio.ensure_future(_listen(each)) for each in hints]
    await asyncio.sleep(seconds / 2)
    before = time.process_time()
    await asyncio.sleep(seconds)
    used = time.process_time() - before
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return used / seconds * 100


async def _listen(hints: AsyncGenerator[treadle.Hint]) -> None:
    """Listen until the task is cancelled."""
    async for _ in hints:
        pass


WORKLOAD = Workload(
    name="hints",
    about="how late a follower of a thread is, and what idle listeners cost",
    work=work,
    columns=columns,
    subjects=(TreadleThreads, TreadleThreadsOnPostgres),
    measure=measure,
)
