"""The memory of a process that appends and claims through one store for long."""

import asyncio
import os
import subprocess
from pathlib import Path
from typing import Any, cast

from benchmarks.peers.base import Subject
from benchmarks.peers.postgres import TreadleThreadsOnPostgres
from benchmarks.peers.treadle_store import LOOPS, TreadleFiles, TreadleThreads, drain, send_all
from benchmarks.sizes import Sizes
from benchmarks.tables import Column, Row
from benchmarks.texts import payload, text
from benchmarks.workloads.base import Task, Workload, title_of

BATCH = 100
"""Entries that are claimed and settled at a time."""
LENGTH = 200
"""Characters in a message: the process is to use a store for long, not to fill a disk."""


def work(sizes: Sizes) -> str:
    """Describe the work."""
    return (
        f"{sizes.used:,} appends of {LENGTH} characters by {sizes.callers} callers, then "
        f"{sizes.used:,} entries, one in a mailbox, claimed and settled, through one open store: "
        "how much memory the process has, and how much more afterwards"
    )


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """Return the columns of the table."""
    return (
        Column("before", "before, MB", "{:,.1f}"),
        Column("appends", "appends add, MB", "{:,.1f}"),
        Column("claims", "claims add, MB", "{:,.1f}"),
        Column("grown", "most, MB", "{:,.1f}"),
    )


async def measure(kind: type[Subject], task: Task) -> list[Row]:
    """Measure a store of Treadle."""
    sizes = task.sizes
    store = cast("type[TreadleThreads]", kind)
    handled = 0

    def count(_: str) -> None:
        nonlocal handled
        handled += 1

    subject = store(Path(task.folder) / "subject", task.store)
    await subject.open()  # it is never closed: a folder would write each entry to a file of its own
    threads = [await subject.start(f"t{number}") for number in range(sizes.callers)]
    await _append(subject, threads, 1)
    before = await _megabytes()
    await _append(subject, threads, sizes.used // sizes.callers)
    appended = await _megabytes()
    await send_all(subject.opened, map(payload, range(sizes.used)), sizes.used)
    sent = await _megabytes()
    await drain(subject.opened, BATCH, LOOPS, count)
    assert handled == sizes.used
    claimed = await _megabytes()
    durability = subject.durability()
    figures = {"before": before, "appends": appended - before, "claims": claimed - sent}
    figures["grown"] = max(figures["appends"], figures["claims"])
    return [Row(who=title_of(kind, task), durability=durability, figures=figures)]


async def _append(subject: TreadleThreads, threads: list[Any], each: int) -> None:
    async def append_all(thread: Any) -> None:
        for number in range(each):
            await subject.append(thread, text(number)[:LENGTH])

    await asyncio.gather(*map(append_all, threads))


async def _megabytes() -> float:
    """Return how much memory this process has now, as `ps` reports it."""
    command = ["ps", "-o", "rss=", "-p", str(os.getpid())]
    done = await asyncio.to_thread(
        subprocess.run, command, check=True, capture_output=True, text=True
    )
    return int(done.stdout) * 1024 / 1e6


WORKLOAD = Workload(
    name="memory",
    about="the memory of a process that appends and claims for long",
    work=work,
    columns=columns,
    subjects=(TreadleThreads, TreadleFiles, TreadleThreadsOnPostgres),
    measure=measure,
    is_timed=False,
)
