"""One process drains a queue on PostgreSQL, in batches and one by one."""

import time
from pathlib import Path
from typing import cast

import msgspec

from benchmarks.measure import medians
from benchmarks.peers.base import Subject
from benchmarks.peers.postgres import DRAINED
from benchmarks.peers.postgres.base import DrainSubject
from benchmarks.sizes import Sizes
from benchmarks.tables import Column, Row
from benchmarks.texts import payload
from benchmarks.workloads.base import Task, Workload, opened, title


def work(sizes: Sizes) -> str:
    """Describe the work."""
    return (
        f"one process drains {sizes.drained:,} entries of 200 bytes with an empty handler, in "
        "batches; Treadle claims one entry of a mailbox at a time, its peers have no mailboxes"
    )


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """Return the columns of the table."""
    return (
        Column("batch", "batch"),
        Column("per_second", "drained a second"),
        Column("filled", "queued a second"),
        Column("megabytes", "MB", "{:,.1f}"),
    )


async def measure(kind: type[Subject], task: Task) -> list[Row]:
    """Measure a queue; a slow one does a fifth of the work, once."""
    drained = cast("type[DrainSubject]", kind)
    rows: list[Row] = []
    for batch in drained.batches[: task.sizes.batches]:
        # one by one takes long, and has no target
        repeats = 1 if kind.slow or batch == 1 else task.sizes.repeats
        runs = [await _measure(drained, task, batch, number) for number in range(repeats)]
        wrong = [run for run in runs if run.note.startswith("LOST")]
        figures = medians([run.figures for run in runs])
        rows.append(msgspec.structs.replace((wrong or runs)[0], figures=figures))
    return rows


async def _measure(kind: type[DrainSubject], task: Task, batch: int, number: int) -> Row:
    count = task.sizes.drained // (5 if kind.slow else 1)
    payloads = [f"{number}:{payload(number)}" for number in range(count)]
    async with opened(kind, Path(task.folder) / f"{batch}-{number}", task.store) as subject:
        start = time.perf_counter()
        await subject.fill(payloads, kind.mailboxes or count)
        filled = time.perf_counter() - start
        subject.rest()
        start = time.perf_counter()
        await subject.drain(batch)
        taken = time.perf_counter() - start
        durability = subject.durability()
        wrong = len(subject.handled) != count or len(set(subject.handled)) != count
    figures = {
        "batch": batch,
        "per_second": count / taken,
        "filled": count / filled,
        "megabytes": subject.size() / 1e6,
    }
    note = f"LOST OR DUPLICATED: {len(subject.handled)} of {count}" if wrong else subject.how()
    return Row(who=title(kind, ""), durability=durability, figures=figures, note=note)


WORKLOAD = Workload(
    name="postgres-drain",
    about="one process drains a queue on PostgreSQL, in batches and one by one",
    work=work,
    columns=columns,
    subjects=DRAINED,
    measure=measure,
)
