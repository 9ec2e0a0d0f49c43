"""LangGraph's checkpointers: a conversation that grows, and many at a time."""

import asyncio
import statistics
import time
from pathlib import Path
from typing import cast

from benchmarks.measure import timed
from benchmarks.peers.base import Subject
from benchmarks.peers.langgraph_turns import (
    LENGTH,
    OnPostgres,
    OnSqlite,
    OnTreadle,
    TreadleOnPostgres,
    Turns,
)
from benchmarks.sizes import Sizes
from benchmarks.tables import Column, Row
from benchmarks.texts import texts
from benchmarks.workloads.base import Task, Workload, opened, title_of


def work(sizes: Sizes) -> str:
    """Describe the work."""
    return (
        f"a LangGraph thread of {sizes.turns:,} turns, a question and an answer of {LENGTH} "
        f"characters each: its size, and its first and last turns; and {sizes.callers} threads at "
        f"a time, {sizes.turns_each} turns each"
    )


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """Return the columns of the table."""
    return (
        Column("megabytes", "MB", "{:,.1f}"),
        Column("first", "first turns, ms", "{:,.1f}"),
        Column("last", "last turns, ms", "{:,.1f}"),
        Column("many", "many, turns a second"),
    )


async def measure(kind: type[Subject], task: Task) -> list[Row]:
    """Measure a checkpointer."""
    checkpointer = cast("type[Turns]", kind)
    folder, sizes = Path(task.folder), task.sizes
    texts(sizes.turns * 2)  # created before anything is timed
    async with opened(checkpointer, folder / "one", task.store) as subject:
        await subject.turn("warm", 0)
        taken = [await timed(subject.turn("t", number)) for number in range(sizes.turns)]
        durability = subject.durability()
    edge = min(sizes.turns_at_an_end, sizes.turns)
    figures = {
        "megabytes": subject.size() / 1e6,
        "first": statistics.median(taken[:edge]) * 1e3,
        "last": statistics.median(taken[-edge:]) * 1e3,
    }
    async with opened(checkpointer, folder / "many", task.store) as subject:
        await subject.turn("warm", 0)
        figures["many"] = await _many(subject, sizes)
    return [Row(who=title_of(kind, task), durability=durability, figures=figures)]


async def _many(subject: Turns, sizes: Sizes) -> float:
    async def talk(thread: str) -> None:
        for number in range(sizes.turns_each):
            await subject.turn(thread, number)

    start = time.perf_counter()
    await asyncio.gather(*(talk(f"t{caller}") for caller in range(sizes.callers)))
    return sizes.callers * sizes.turns_each / (time.perf_counter() - start)


WORKLOAD = Workload(
    name="adapters-langgraph",
    about="LangGraph's checkpointers, and ours: size, turns, many threads",
    work=work,
    columns=columns,
    subjects=[OnTreadle, OnSqlite, TreadleOnPostgres, OnPostgres],
    measure=measure,
)
