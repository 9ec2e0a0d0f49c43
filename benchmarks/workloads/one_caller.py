"""One caller appends one message after the other to one thread."""

import shutil
import statistics
from pathlib import Path
from typing import cast

from benchmarks.measure import medians, size_of, timed
from benchmarks.peers import APPENDED_BY_ONE
from benchmarks.peers.base import Subject, ThreadSubject
from benchmarks.peers.by_hand_appends import AppendsByHand
from benchmarks.sizes import Sizes
from benchmarks.tables import Column, Row
from benchmarks.texts import SIZE, text, texts
from benchmarks.workloads.base import Task, Workload, opened, title

TURN = 10
"""Appends before it is the floor's turn, so that a slow moment of the disk affects both."""


def work(sizes: Sizes) -> str:
    """Describe the work."""
    return (
        f"one caller, {sizes.appends:,} durable appends of 1 KB to one thread, one by one. The "
        "floor: the statements that Treadle needs (read the head, insert message and delta, update "
        "the head, commit)"
    )


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """Return the columns of the table."""
    return (
        Column("appends", "appends"),
        Column("per_second", "a second"),
        Column("times_floor", "x floor", "{:.2f}"),
        Column("floor", "floor a second"),
        Column("first", f"first {sizes.edge}, µs"),
        Column("last", f"last {sizes.edge}, µs"),
        Column("growth", "last/first", "{:.2f}"),
        Column("megabytes", "MB on disk", "{:,.1f}"),
        Column("times_text", "x text", "{:,.1f}"),
    )


async def measure(kind: type[Subject], task: Task) -> list[Row]:
    """Measure a store of threads."""
    thread_store = cast("type[ThreadSubject]", kind)
    texts(task.sizes.appends)  # created before anything is timed
    appends = task.sizes.appends_slow if kind.slow else task.sizes.appends
    runs: list[dict[str, float]] = []
    durability = ""
    for _ in range(1 if kind.slow else task.sizes.repeats):
        folder = Path(task.folder)
        async with opened(AppendsByHand, folder / "floor") as floor:
            async with opened(thread_store, folder / "subject", task.store) as subject:
                taken, floor_taken = await _append(subject, floor, appends)
                durability = subject.durability()
            figures = _figures(taken, floor_taken, task.sizes.edge)
            size = size_of(folder / "subject")
        runs.append(figures | {"megabytes": size / 1e6, "times_text": size / SIZE / len(taken)})
        shutil.rmtree(folder / "floor")
        shutil.rmtree(folder / "subject")
    return [Row(who=title(kind, task.store), durability=durability, figures=medians(runs))]


async def _append(
    subject: ThreadSubject, floor: ThreadSubject, appends: int
) -> tuple[list[float], list[float]]:
    taken: list[float] = []
    floor_taken: list[float] = []
    turns = [
        (floor, await floor.start("t"), floor_taken),
        (subject, await subject.start("t"), taken),
    ]
    for start in range(0, appends, TURN):
        for whose, thread, found in turns:
            for number in range(start, min(start + TURN, appends)):
                found.append(await timed(whose.append(thread, text(number))))
    return taken, floor_taken


def _figures(taken: list[float], floor_taken: list[float], edge: int) -> dict[str, float]:
    first, last = statistics.median(taken[:edge]), statistics.median(taken[-edge:])
    return {
        "appends": len(taken),
        "per_second": len(taken) / sum(taken),
        "times_floor": sum(taken) / sum(floor_taken),
        "floor": len(floor_taken) / sum(floor_taken),
        "first": first * 1e6,
        "last": last * 1e6,
        "growth": last / first,
    }


WORKLOAD = Workload(
    name="one-caller",
    about="one caller appends one message after the other to one thread",
    work=work,
    columns=columns,
    subjects=APPENDED_BY_ONE,
    measure=measure,
)
