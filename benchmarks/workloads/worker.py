"""A worker, beside loops that claim and settle the same entries without it."""

import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias, cast

import treadle
from benchmarks.peers.base import Subject
from benchmarks.peers.treadle_store import LOOPS, TreadleThreads, drain, send_all, work
from benchmarks.sizes import Sizes
from benchmarks.tables import Column, Row
from benchmarks.texts import payload
from benchmarks.workloads.base import Task, Workload, opened, settle, title

IN_FLIGHT = 100
"""The concurrent handlers of the worker, and the entries in a batch of the loops."""

Drain: TypeAlias = Callable[[treadle.Store, Callable[[str], object]], Awaitable[None]]


def describe(sizes: Sizes) -> str:
    """Describe the work."""
    return (
        f"{sizes.drained:,} entries of 200 bytes, one in a mailbox, with an empty handler: {LOOPS} "
        f"loops that claim {IN_FLIGHT} and settle them in one batch, and in turn a Worker with "
        f"concurrency {IN_FLIGHT}"
    )


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """Return the columns of the table."""
    return (
        Column("per_second", "drained a second"),
        Column("part", "x bare drain", "{:.2f}"),
    )


async def measure(kind: type[Subject], task: Task) -> list[Row]:
    """Measure both in one store."""
    rates: dict[str, list[float]] = {"drain": [], "Worker": []}
    drains: dict[str, Drain] = {
        "drain": lambda store, handle: drain(store, IN_FLIGHT, LOOPS, handle),
        "Worker": lambda store, handle: work(store, IN_FLIGHT, handle),
    }
    async with opened(
        cast("type[TreadleThreads]", kind), Path(task.folder) / "s", task.store
    ) as it:
        for _ in range(task.sizes.repeats):
            for name, empty in drains.items():
                await send_all(
                    it.opened, map(payload, range(task.sizes.drained)), task.sizes.drained
                )
                settle(it, task.sizes)
                rates[name].append(task.sizes.drained / await _time(it.opened, empty, task.sizes))
        durability = it.durability()
    bare, worked = (statistics.median(found) for found in rates.values())
    who = title(kind, task.store)
    return [
        Row(who=f"{who}, drain", durability=durability, figures={"per_second": bare}),
        Row(
            who=f"{who}, Worker",
            durability=durability,
            figures={"per_second": worked, "part": worked / bare},
        ),
    ]


async def _time(store: treadle.Store, empty: Drain, sizes: Sizes) -> float:
    handled: list[str] = []
    start = time.perf_counter()
    await empty(store, handled.append)
    taken = time.perf_counter() - start
    if len(handled) != sizes.drained or len(set(handled)) != sizes.drained:
        raise AssertionError(f"{len(handled)} of {sizes.drained} entries were handled")
    return taken


WORKLOAD = Workload(
    name="worker",
    about="a worker beside the same claims and settlements without it",
    work=describe,
    columns=columns,
    subjects=(TreadleThreads,),
    measure=measure,
)
