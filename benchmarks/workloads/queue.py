"""One worker and many workers drain a queue: claim and acknowledge."""

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

MAX_ERRORS = 10
"""After so many errors a worker gives up, so that the run ends."""


def work(sizes: Sizes) -> str:
    """Describe the work."""
    return (
        f"claim and acknowledge {sizes.entries:,} queued entries of 200 bytes: one worker, then "
        f"{sizes.in_flight} (tasks or OS threads) that work one entry each; how many entries were "
        "claimed twice, or never settled, in the worst run; and what happens to a claimed entry "
        "when its worker is killed"
    )


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """Return the columns of the table."""
    return (
        Column("one", "1 worker, /s"),
        Column("one_floor", "x floor", "{:.2f}"),
        Column("many", f"{sizes.in_flight} workers, /s"),
        Column("many_floor", "x floor", "{:.2f}"),
        Column("floor", "floor, /s"),
        Column("twice", "twice"),
        Column("left", "never"),
        Column("failed", "errors"),
    )


class Found(msgspec.Struct):
    """The settled payloads, and the errors of calls that failed."""

    settled: list[str] = msgspec.field(default_factory=list)
    errors: Counter[str] = msgspec.field(default_factory=Counter)


async def measure(kind: type[Subject], task: Task) -> list[Row]:
    """Measure a queue."""
    queue = cast("type[QueueSubject]", kind)
    runs: list[dict[str, float]] = []
    errors: Counter[str] = Counter()
    durability = ""
    for _ in range(1 if kind.slow else task.sizes.repeats):
        floor_rate, *_ = await _run(ByHandQueue, task, "", 1)
        figures: dict[str, float] = {"floor": floor_rate, "twice": 0, "left": 0, "failed": 0}
        for key, workers in (("one", 1), ("many", task.sizes.in_flight)):
            if workers == 1 and issubclass(queue, BatchingQueueSubject):
                continue
            rate, found, durability = await _run(queue, task, task.store, workers)
            errors += found.errors
            times = floor_rate / rate if rate else float("inf")
            figures |= {key: rate, f"{key}_floor": times}
            figures["twice"] += len(found.settled) - len(set(found.settled))
            figures["left"] += task.sizes.entries - len(set(found.settled))
            figures["failed"] += found.errors.total()
        runs.append(figures)
    errors_found = [f"{count} x {error}" for error, count in errors.items()]
    row = Row(
        who=title(kind, task.store),
        durability=durability,
        figures=_merged(runs),
        note="; ".join([queue.after_crash, *errors_found]),
    )
    return [row]


def _merged(runs: list[dict[str, float]]) -> dict[str, float]:
    # an error in one of several runs is an error: these figures are from the worst run
    worst = {key: max(run[key] for run in runs) for key in ("twice", "left", "failed")}
    return medians(runs) | worst


async def _run(
    kind: type[QueueSubject], task: Task, store: str, workers: int
) -> tuple[float, Found, str]:
    folder = Path(task.folder) / "queue"
    found = Found()
    async with opened(kind, folder, store) as queue:
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
    shutil.rmtree(folder)
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

    def drain() -> None:
        ready.wait()  # otherwise the first threads of the pool would take all the work
        failures = 0
        while failures < MAX_ERRORS:
            try:
                job: Any = queue.claim_now()
                if job is None:
                    return
                queue.ack_now(job)
            except Exception as error:  # counted: the database of a peer may be locked
                found.errors[f"{type(error).__name__}: {error}"[:80]] += 1
                failures += 1
            else:
                found.settled.append(queue.payload(job))

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(workers) as pool:
        await asyncio.gather(*(loop.run_in_executor(pool, drain) for _ in range(workers)))


WORKLOAD = Workload(
    name="queue",
    about="one worker and many workers drain a queue; nothing is lost or duplicated",
    work=work,
    columns=columns,
    subjects=QUEUES,
    measure=measure,
)
