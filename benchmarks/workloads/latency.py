"""Latency: how soon a handler begins and is cancelled, and what a worker costs that waits."""

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias, cast

import treadle
from benchmarks.latency_worker import endless
from benchmarks.peers.base import Subject
from benchmarks.peers.postgres.treadle_store import TreadleThreadsOnPostgres
from benchmarks.peers.treadle_store import TreadleThreads
from benchmarks.sizes import Sizes
from benchmarks.tables import Column, Row
from benchmarks.workloads.base import Task, Workload, opened, title_of
from treadle.worker import Worker

Measured: TypeAlias = TreadleThreads | TreadleThreadsOnPostgres
PAUSE_SECONDS = 0.05
"""Between two calls, so that each meets a worker that has nothing to do."""
DEADLINE_SECONDS = 60.0


def work(sizes: Sizes) -> str:
    """Describe the work."""
    return (
        f"from the call to the handler, {sizes.presses} times each, leases of 30 s: a send and a "
        "resume until a handler in another process begins, and an interrupt until it is "
        f"cancelled, there or in one process; then a worker that holds {sizes.held} claims for "
        f"{sizes.held_seconds:g} s"
    )


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """Return the columns of the table."""
    return (
        Column("send", "send, ms", "{:,.1f}"),
        Column("resume", "resume, ms", "{:,.1f}"),
        Column("interrupt", "interrupt, ms", "{:,.1f}"),
        Column("here", "in one process, ms", "{:,.1f}"),
        Column("idle", f"{sizes.held} held, % CPU", "{:.2f}"),
    )


class Times:
    """When handlers began and were cancelled, by their mailboxes."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, str], float] = {}
        self._news = asyncio.Event()

    def note(self, what: str, mailbox_id: str, at: float) -> None:
        """Keep a time."""
        self._times[what, mailbox_id] = at
        self._news.set()

    async def wait_for(self, what: str, mailbox_id: str) -> float:
        """Return when it happened, at the earliest once it has."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while (what, mailbox_id) not in self._times:
                self._news.clear()
                await self._news.wait()
        return self._times[what, mailbox_id]


@asynccontextmanager
async def working_here(store: treadle.Store, concurrency: int = 8) -> AsyncIterator[Times]:
    """Run a worker in this process."""
    times = Times()
    worker = Worker(store, endless(times.note), concurrency=concurrency, grace_ms=0)
    working = asyncio.create_task(worker.run())
    yield times
    worker.stop()
    await working


@asynccontextmanager
async def working_elsewhere(url: str) -> AsyncIterator[Times]:
    """Run a worker in a process of its own."""
    times = Times()
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.latency_worker",
        url,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdin
    assert child.stdout
    output = child.stdout

    async def read() -> None:
        async for line in output:
            what, mailbox_id, at = line.decode().split()
            times.note(what, mailbox_id, float(at))

    reading = asyncio.create_task(read())
    await times.wait_for("ready", "-")
    yield times
    child.stdin.close()
    await reading
    await child.wait()


async def measure(kind: type[Subject], task: Task) -> list[Row]:
    """Measure a store."""
    folder, sizes = Path(task.folder) / "store", task.sizes
    figures: dict[str, float] = {}
    async with opened(cast("type[Measured]", kind), folder, task.store) as subject:
        store = subject.opened
        async with working_here(store) as times:
            here = [await _press(store, times, f"here{n}") for n in range(sizes.presses)]
        figures["here"] = statistics.median(each[1] for each in here) * 1e3
        if store.capabilities.shared:
            async with working_elsewhere(subject.url()) as times:
                there = [await _press(store, times, f"there{n}") for n in range(sizes.presses)]
                resumed = [await _resume(store, times, f"r{n}") for n in range(sizes.presses)]
            figures["send"] = statistics.median(each[0] for each in there) * 1e3
            figures["interrupt"] = statistics.median(each[1] for each in there) * 1e3
            figures["resume"] = statistics.median(resumed) * 1e3
        figures["idle"] = await _idle(store, sizes)
        durability = subject.durability()
    return [Row(who=title_of(kind, task), durability=durability, figures=figures)]


async def _press(store: treadle.Store, times: Times, mailbox_id: str) -> tuple[float, float]:
    """Send and interrupt; return how soon the handler began and was cancelled, in seconds."""
    begun = await _until(
        lambda: store.mailboxes.send(mailbox_id, "work"), times, "begun", mailbox_id
    )
    cancelled = await _until(
        lambda: store.mailboxes.interrupt(mailbox_id), times, "cancelled", mailbox_id
    )
    return begun, cancelled


async def _resume(store: treadle.Store, times: Times, mailbox_id: str) -> float:
    """Resume a mailbox that has an entry; return how soon its handler began, in seconds."""
    async with store.batch() as step:
        step.mailboxes.pause(mailbox_id)
        step.mailboxes.send(mailbox_id, "work")
    begun = await _until(lambda: store.mailboxes.resume(mailbox_id), times, "begun", mailbox_id)
    await store.mailboxes.interrupt(mailbox_id)
    await times.wait_for("cancelled", mailbox_id)
    return begun


async def _until(
    call: Callable[[], Awaitable[object]], times: Times, what: str, mailbox_id: str
) -> float:
    """Make a call; return how long after its beginning it took effect, in seconds."""
    await asyncio.sleep(PAUSE_SECONDS)
    began = time.monotonic()
    await call()
    return await times.wait_for(what, mailbox_id) - began


async def _idle(store: treadle.Store, sizes: Sizes) -> float:
    """Return how much of a core a worker uses that holds claims, in percent."""
    for number in range(sizes.held):
        await store.mailboxes.send(f"held{number}", number)
    async with working_here(store, sizes.held + 1) as times:
        for number in range(sizes.held):
            await times.wait_for("begun", f"held{number}")
        await asyncio.sleep(1.0)
        before = time.process_time()
        await asyncio.sleep(sizes.held_seconds)
        used = time.process_time() - before
    return used / sizes.held_seconds * 100


WORKLOAD = Workload(
    name="latency",
    about="how soon a handler begins and is cancelled, and what a waiting worker costs",
    work=work,
    columns=columns,
    subjects=(TreadleThreads, TreadleThreadsOnPostgres),
    measure=measure,
)
