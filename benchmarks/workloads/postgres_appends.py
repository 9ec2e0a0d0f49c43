"""Appends to threads on PostgreSQL: by one caller, by many, and to a long thread."""

import asyncio
import statistics
import time
from pathlib import Path
from typing import Any, cast

from benchmarks.measure import medians, timed
from benchmarks.peers.base import Subject, ThreadSubject
from benchmarks.peers.postgres import APPENDED
from benchmarks.peers.postgres.base import PostgresSubject
from benchmarks.sizes import Sizes
from benchmarks.tables import Column, Row
from benchmarks.texts import text, texts
from benchmarks.workloads.base import Task, Workload, opened, title


def work(sizes: Sizes) -> str:
    """Describe the work."""
    return (
        f"durable appends of 1 KB: {sizes.appends_on_server:,} by one caller; by {sizes.callers} "
        f"callers, {sizes.appends_each} each; and to threads of {sizes.grown[0]:,} and "
        f"{sizes.grown[1]:,} messages, in turn"
    )


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """Return the columns of the table."""
    return (
        Column("one", "one caller, a second"),
        Column("many", "many, a second"),
        Column("short", "short thread, µs"),
        Column("long", "long thread, µs"),
        Column("growth", "long/short", "{:.2f}"),
    )


async def measure(kind: type[Subject], task: Task) -> list[Row]:
    """Measure a store of threads."""
    thread_store = cast("type[ThreadSubject]", kind)
    sizes = task.sizes
    texts(sizes.appends_on_server)  # created before anything is timed
    figures: dict[str, float] = {}
    async with opened(thread_store, Path(task.folder) / "subject", task.store) as subject:
        appends = sizes.appends_on_server // (5 if kind.slow else 1)
        each = sizes.appends_each_slow if kind.slow else sizes.appends_each
        runs = [
            {
                "one": await _one(subject, f"one {run}", appends),
                "many": await _many(subject, f"many {run}", sizes.callers, each),
            }
            for run in range(1 if kind.slow else sizes.repeats)
        ]
        figures |= medians(runs)
        if subject.fills_quickly:
            figures |= await _long(subject, sizes)
        durability = subject.durability()
    return [Row(who=title(kind, ""), durability=durability, figures=figures)]


async def _one(subject: ThreadSubject, name: str, appends: int) -> float:
    thread = await subject.start(name)
    start = time.perf_counter()
    for number in range(appends):
        await subject.append(thread, text(number))
    return appends / (time.perf_counter() - start)


async def _many(subject: ThreadSubject, name: str, callers: int, each: int) -> float:
    threads = [await subject.start(f"{name} {caller}") for caller in range(callers)]

    async def call(thread: Any) -> None:
        for number in range(each):
            await subject.append(thread, text(number))

    start = time.perf_counter()
    await asyncio.gather(*map(call, threads))
    return callers * each / (time.perf_counter() - start)


async def _long(subject: ThreadSubject, sizes: Sizes) -> dict[str, float]:
    little, much = sizes.grown
    long = await subject.start("long", texts(much))
    short = [await subject.start(f"short {number}", texts(little)) for number in range(10)]
    if isinstance(subject, PostgresSubject):
        subject.rest()
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(sizes.operations):
        taken[0].append(await timed(subject.append(short[number % 10], text(number))))
        taken[1].append(await timed(subject.append(long, text(number))))
    quick, slow = (statistics.median(each) * 1e6 for each in taken)
    return {"short": quick, "long": slow, "growth": slow / quick}


WORKLOAD = Workload(
    name="postgres-appends",
    about="appends on PostgreSQL: one caller, many, and to long threads",
    work=work,
    columns=columns,
    subjects=APPENDED,
    measure=measure,
)
