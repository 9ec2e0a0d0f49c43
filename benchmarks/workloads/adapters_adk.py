"""ADK's session services: one caller, and many at a time, append events to their sessions."""

import asyncio
import time
from pathlib import Path
from typing import cast

from benchmarks.measure import timed
from benchmarks.peers.base import Subject, ThreadSubject
from benchmarks.peers.google_adk import AdkSessions, TreadleAdkSessions
from benchmarks.sizes import Sizes
from benchmarks.tables import Column, Row
from benchmarks.texts import text, texts
from benchmarks.workloads.base import Task, Workload, opened, title


def work(sizes: Sizes) -> str:
    """Describe the work."""
    return (
        f"{sizes.reads:,} durable events of 1 KB in one ADK session, one by one; {sizes.callers} "
        f"callers at a time, {sizes.appends_each_slow} events each, in sessions of their own; and "
        f"reading the first session with {sizes.page} events"
    )


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """Return the columns of the table."""
    return (
        Column("one", "one, a second"),
        Column("many", "many, a second"),
        Column("read", "read, µs"),
        Column("megabytes", "MB", "{:,.1f}"),
    )


async def measure(kind: type[Subject], task: Task) -> list[Row]:
    """Measure a session service."""
    service, sizes = cast("type[ThreadSubject]", kind), task.sizes
    texts(sizes.reads)  # created before anything is timed
    async with opened(service, Path(task.folder) / "subject", task.store) as subject:
        await subject.append(await subject.start("warm"), text(0))
        session = await subject.start("one")
        taken = [await timed(subject.append(session, text(n))) for n in range(sizes.reads)]
        read = await timed(subject.last(session, sizes.page))
        figures = {
            "one": len(taken) / sum(taken),
            "many": await _many(subject, sizes),
            "read": read * 1e6,
        }
        durability = subject.durability()
    figures["megabytes"] = subject.size() / 1e6
    return [Row(who=title(kind, task.store), durability=durability, figures=figures)]


async def _many(subject: ThreadSubject, sizes: Sizes) -> float:
    sessions = [await subject.start(f"many-{caller}") for caller in range(sizes.callers)]

    async def append(session: object) -> None:
        for number in range(sizes.appends_each_slow):
            await subject.append(session, text(number))

    start = time.perf_counter()
    await asyncio.gather(*map(append, sessions))
    return sizes.callers * sizes.appends_each_slow / (time.perf_counter() - start)


WORKLOAD = Workload(
    name="adapters-adk",
    about="ADK's session service, and ours: one caller, many callers",
    work=work,
    columns=columns,
    subjects=[TreadleAdkSessions, AdkSessions],
    measure=measure,
)
