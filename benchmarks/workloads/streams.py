"""Streams of events: what many of them cost, how late they are, and how soon a server stops."""

import asyncio
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from statistics import median
from typing import cast

import treadle
from benchmarks.peers.base import Subject
from benchmarks.peers.treadle_store import SENT_AT_ONCE, TreadleThreads
from benchmarks.served import Server, Stream, ask, serving, stream, working
from benchmarks.sizes import Sizes
from benchmarks.tables import Column, Row
from benchmarks.workloads.base import Task, Workload, opened, title_of
from treadle import Message, Thread

LATE_SECONDS = 10
"""After so long, an event that has not come counts as lost."""
STREAMS_AT_A_STOP = 100


def work(sizes: Sizes) -> str:
    """Describe the work."""
    idle, busy = sizes.streams
    return (
        f"`treadle serve` with uvicorn, in a process of its own: {idle:,} streams of threads in "
        f"which nothing happens, then {busy} more of threads that each get a message a second, "
        f"{sizes.rounds} times; {sizes.presses} requests over AG-UI for a run by a worker in a "
        f"third process; a SIGTERM with {STREAMS_AT_A_STOP} streams open"
    )


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """Return the columns of the table."""
    return (
        Column("lost", "lost events"),
        Column("kilobytes", "kB each", "{:.1f}"),
        Column("idle", "idle, % CPU", "{:.1f}"),
        Column("message", "message, ms", "{:.1f}"),
        Column("token", "token, ms", "{:.1f}"),
        Column("stop", "stop, s", "{:.2f}"),
    )


async def measure(kind: type[Subject], task: Task) -> list[Row]:
    """Measure a store."""
    folder, sizes = Path(task.folder) / "store", task.sizes
    who = title_of(kind, task)
    async with opened(cast("type[TreadleThreads]", kind), folder, task.store) as subject:
        store, url = subject.opened, subject.url()
        if not store.capabilities.shared:
            return [Row(who=who, missing="a server in another process cannot have its data")]
        figures = {
            **await many_streams(store, url, *sizes.streams, sizes.rounds),
            **await latencies(store, url, sizes.presses),
            "stop": await stop_seconds(store, url, sizes.stops),
        }
        durability = subject.durability()
    return [Row(who=who, durability=durability, figures=figures)]


async def many_streams(
    store: treadle.Store, url: str, idle: int, busy: int, rounds: int
) -> dict[str, float]:
    """Open streams, and write to the threads of the busy ones.

    Args:
        store: the store.
        url: its URL, for the server.
        idle: streams of threads in which nothing happens.
        busy: streams of threads that get messages.
        rounds: how many messages, one a second.
    """
    quiet, loud = [f"idle-{n}" for n in range(idle)], [f"busy-{n}" for n in range(busy)]
    await _create(store, [*quiet, *loud])
    with serving(url) as server:
        async with AsyncExitStack() as stack:

            async def open_streams(names: list[str]) -> list[Stream]:
                return [await stack.enter_async_context(stream(server, name)) for name in names]

            await open_streams(loud[: busy // 2])  # what is loaded once is not counted
            before = server.memory
            silent = await open_streams(quiet)
            each = (server.memory - before) / idle
            share = await _share_of_a_core(server, rounds / 3)
            followed = await open_streams(loud)
            await _append_to(store, loud, rounds)
            with suppress(TimeoutError):
                async with asyncio.timeout(LATE_SECONDS):
                    for one in followed:
                        await one.until(rounds)
            lost = sum(_lost(one.versions, rounds) for one in followed)
            lost += sum(1 for one in silent if one.versions or one.has_ended)
    return {"lost": lost, "kilobytes": each / 1e3, "idle": share * 100}


async def _create(store: treadle.Store, names: list[str]) -> None:
    for start in range(0, len(names), SENT_AT_ONCE):
        async with store.batch() as step:
            for name in names[start : start + SENT_AT_ONCE]:
                step.threads.create(Thread(id=name, resource_id="alice"))


async def _share_of_a_core(server: Server, seconds: float) -> float:
    await asyncio.sleep(0.3)  # what opening the streams has left to do is not counted
    used, began = server.processor_seconds, time.monotonic()
    await asyncio.sleep(seconds)
    return (server.processor_seconds - used) / (time.monotonic() - began)


async def _append_to(store: treadle.Store, names: list[str], rounds: int) -> None:
    for number in range(rounds):
        async with store.batch() as step:
            for name in names:
                step.threads.append(name, Message.user(f"{number}"))
        await asyncio.sleep(1)


def _lost(versions: list[int], rounds: int) -> int:
    """Count the events that did not come; one that came twice or too early counts, too."""
    wanted = list(range(1, rounds + 1))
    return 0 if versions == wanted else max(1, len(set(wanted) - set(versions)))


async def latencies(store: treadle.Store, url: str, times: int) -> dict[str, float]:
    """Return how long a client waits for a live token, and another client for the first message.

    The worker answers at once, so there is no time of a model in it. In milliseconds.
    """
    await _create(store, ["tokens", "messages"])
    tokens: list[float] = []
    messages: list[float] = []
    with serving(url) as server, working(url):
        async with stream(server, "messages") as other:
            for number in range(times):
                began = time.monotonic()
                tokens.append(await ask(server, "tokens", number) - began)
                began = time.monotonic()
                asking = asyncio.create_task(ask(server, "messages", number))
                await other.until(2 * number + 2)  # what the client says is the first
                messages.append(time.monotonic() - began)
                await asking
    return {"message": median(messages) * 1e3, "token": median(tokens) * 1e3}


async def stop_seconds(store: treadle.Store, url: str, times: int) -> float:
    """Return how long a server with streams takes to stop, in seconds."""
    await _create(store, ["stopping"])
    taken: list[float] = []
    for _ in range(times):
        with serving(url) as server:
            async with AsyncExitStack() as stack:
                for _ in range(STREAMS_AT_A_STOP):
                    await stack.enter_async_context(stream(server, "stopping"))
                taken.append(await asyncio.to_thread(server.stop))
    return median(taken)


WORKLOAD = Workload(
    name="streams",
    about="streams of events over HTTP: what many cost, and how late they are",
    work=work,
    columns=columns,
    subjects=(TreadleThreads,),
    measure=measure,
)
