"""A queue is worked off: claim, acknowledge, by one worker and by many."""

import asyncio
import shutil
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import msgspec

from benchmarks.measure import medians
from benchmarks.peers import QUEUES
from benchmarks.peers.base import (
    BatchingQueueSubject,
    BlockingQueueSubject,
    QueueSubject,
    Subject,
)
from benchmarks.peers.by_hand_queue import ByHandQueue
from benchmarks.sizes import Sizes
from benchmarks.tables import Column, Row
from benchmarks.texts import payload
from benchmarks.workloads.base import Task, Workload, opened, title

PATIENCE = 10
"""Errors after which a worker gives up: the run must end."""


def work(sizes: Sizes) -> str:
    """What is done."""
    return (
        f"claim and acknowledge {sizes.entries:,} waiting entries of 200 bytes: one worker, then "
        f"{sizes.in_flight} (tasks or OS threads) that each have one in flight; "
        "entries that were handed out twice, or never settled, in the worst run; "
        "and what becomes of claimed work when its worker is killed"
    )


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """What is told."""
    return (
        Column("one", "1 worker, /s"),
        Column("one_floor", "x floor", "{:.2f}"),
        Column("many", f"{sizes.in_flight} in flight, /s"),
        Column("many_floor", "x floor", "{:.2f}"),
        Column("floor", "floor, /s"),
        Column("twice", "twice"),
        Column("left", "never"),
        Column("failed", "errors"),
    )


class Found(msgspec.Struct):
    """What was settled, and what calls that failed said."""

    settled: list[str] = msgspec.field(default_factory=list)
    errors: Counter[str] = msgspec.field(default_factory=Counter)


async def measure(kind: type[Subject], task: Task) -> list[Row]:
    """Measure a queue."""
    queue = cast("type[QueueSubject]", kind)
    runs: list[dict[str, float]] = []
    errors: Counter[str] = Counter()
    durability = ""
    for _ in range(1 if kind.slow else task.sizes.repeats):
        figures: dict[str, float] = {"twice": 0, "left": 0, "failed": 0}
        for key, workers in (("one", 1), ("many", task.sizes.in_flight)):
            if workers == 1 and issubclass(queue, BatchingQueueSubject):
                continue
            floor_rate, *_ = await _run(ByHandQueue, task, "", 1)
            rate, found, durability = await _run(queue, task, task.store, workers)
            errors += found.errors
            times = floor_rate / rate if rate else float("inf")
            figures |= {key: rate, f"{key}_floor": times, "floor": floor_rate}
            figures["twice"] += len(found.settled) - len(set(found.settled))
            figures["left"] += task.sizes.entries - len(set(found.settled))
            figures["failed"] += found.errors.total()
        runs.append(figures)
    said = [f"{count} x {error}" for error, count in errors.items()]
    row = Row(
        who=title(kind, task.store),
        durability=durability,
        figures=_merged(runs),
        note="; ".join([queue.after_crash, *said]),
    )
    return [row]


def _merged(runs: list[dict[str, float]]) -> dict[str, float]:
    # what goes wrong once in three times is no less wrong: the worst run tells
    worst = {key: max(run[key] for run in runs) for key in ("twice", "left", "failed")}
    return medians(runs) | worst


async def _run(
    kind: type[QueueSubject], task: Task, store: str, workers: int
) -> tuple[float, Found, str]:
    place = Path(task.folder) / "queue"
    found = Found()
    async with opened(kind, place, store) as queue:
        await queue.fill([payload(number) for number in range(task.sizes.entries)])
        start = time.perf_counter()
        if isinstance(queue, BatchingQueueSubject):
            await _work_in_batches(queue, workers, found)
        elif isinstance(queue, BlockingQueueSubject) and workers > 1:
            await _work_in_threads(queue, workers, found)
        else:
            await asyncio.gather(*(_work(queue, found) for _ in range(workers)))
        taken = time.perf_counter() - start
        durability = queue.durability()
    shutil.rmtree(place)
    return len(set(found.settled)) / taken, found, durability


async def _work(queue: QueueSubject, found: Found) -> None:
    while (job := await queue.claim()) is not None:
        await queue.ack(job)
        found.settled.append(queue.payload(job))


async def _work_in_batches(queue: BatchingQueueSubject, workers: int, found: Found) -> None:
    while jobs := await queue.claim_several(workers):
        await queue.ack_several(jobs)
        found.settled += map(queue.payload, jobs)


async def _work_in_threads(queue: BlockingQueueSubject, workers: int, found: Found) -> None:
    ready = threading.Barrier(workers)

    def work_off() -> None:
        ready.wait()  # a pool would let the first threads take the work of the others
        failures = 0
        while failures < PATIENCE:
            try:
                job: Any = queue.claim_now()
                if job is None:
                    return
                queue.ack_now(job)
            except Exception as error:  # counted: a peer may say that its database is locked
                found.errors[f"{type(error).__name__}: {error}"[:80]] += 1
                failures += 1
            else:
                found.settled.append(queue.payload(job))

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(workers) as pool:
        await asyncio.gather(*(loop.run_in_executor(pool, work_off) for _ in range(workers)))


WORKLOAD = Workload(
    name="queue",
    about="a queue is worked off by one worker and by many; nothing lost, nothing twice",
    work=work,
    columns=columns,
    subjects=QUEUES,
    measure=measure,
)
