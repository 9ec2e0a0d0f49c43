"""Claims and appends in small and in large stores, whose cost should be the same."""

from pathlib import Path
from typing import Any

import treadle
from benchmarks.measure import medians_in_turn, size_of, sync_disk
from benchmarks.peers.base import Subject
from benchmarks.peers.treadle_store import (
    TreadleThreads,
    claim_and_ack,
    opening_and_closing,
    says,
    send_all,
)
from benchmarks.sizes import Sizes
from benchmarks.stores import durability_of, is_files, url_in
from benchmarks.tables import Column, Row
from benchmarks.texts import PAYLOAD, SIZE, payload, text, texts
from benchmarks.workloads.base import Task, Workload, title
from treadle import Message, Thread

SCALE_OF_FILES = 10
"""Plain files get this much less: a million entries would be a million files in a folder."""
THREADS = 10
"""Short threads that take turns, so that they stay short."""


def work(sizes: Sizes) -> str:
    """Describe the work."""
    return (
        f"the same work in a small and in a large store: claim + ack with {sizes.depths[0]:,} and "
        f"{sizes.depths[1]:,} entries of 200 bytes queued, {sizes.entries_each} in a mailbox; "
        f"append of 1 KB to threads of {sizes.grown[0]:,} and {sizes.grown[1]:,} messages "
        "(files: the large store has a tenth); and to open the stores of entries"
    )


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """Return the columns of the table."""
    return (
        Column("less", "small"),
        Column("more", "large"),
        Column("little", "small, µs"),
        Column("much", "large, µs"),
        Column("growth", "large/small", "{:.2f}"),
        Column("text", "MB of text", "{:,.1f}"),
        Column("megabytes", "MB on disk", "{:,.1f}"),
        Column("times_text", "x text", "{:,.2f}"),
    )


async def measure(kind: type[Subject], task: Task) -> list[Row]:
    """Measure a store of Treadle."""
    who = title(kind, task.store)
    scale = SCALE_OF_FILES if is_files(task.store) else 1
    queue, opening = await _measure_queue(task, task.sizes.depths[0], task.sizes.depths[1] // scale)
    threads = await _measure_threads(task, task.sizes.grown[0], task.sizes.grown[1] // scale)
    durability = durability_of(task.store)
    return [
        Row(who=f"{who}, claim + ack", durability=durability, figures=queue),
        Row(who=f"{who}, open", durability=durability, figures=opening),
        Row(who=f"{who}, append", durability=durability, figures=threads),
    ]


async def _measure_queue(
    task: Task, little: int, much: int
) -> tuple[dict[str, float], dict[str, float]]:
    shallow_url, deep_url = _new_url(task, "shallow"), _new_url(task, "deep")
    await _fill_queue(shallow_url, little, task.sizes.entries_each)
    await _fill_queue(deep_url, much, task.sizes.entries_each)
    size = size_of(Path(task.folder) / "deep")
    async with treadle.open_store(shallow_url) as shallow, treadle.open_store(deep_url) as deep:

        async def work_shallow(_: int) -> None:
            await claim_and_ack(shallow)

        async def work_deep(_: int) -> None:
            await claim_and_ack(deep)

        await work_shallow(0)  # the first claim may build an index
        await work_deep(0)
        sync_disk(task.sizes.syncs_first)
        operations = min(task.sizes.operations, little // 2)
        taken = await medians_in_turn(operations, work_shallow, work_deep)
    opened = await medians_in_turn(
        task.sizes.opens, opening_and_closing(shallow_url), opening_and_closing(deep_url)
    )
    claims = _figures(little, much, taken) | _sizes(much * PAYLOAD, size)
    return claims, _figures(little, much, opened)


async def _fill_queue(url: str, depth: int, entries_each: int) -> None:
    async with treadle.open_store(url, durability="relaxed") as store:
        await send_all(store, map(payload, range(depth)), max(1, depth // entries_each))


async def _measure_threads(task: Task, little: int, much: int) -> dict[str, float]:
    url = _new_url(task, "long")
    async with treadle.open_store(url, durability="relaxed") as store:
        await _start(store, "long", much)
    size = size_of(Path(task.folder) / "long")
    async with treadle.open_store(url) as store:
        for number in range(THREADS):
            await _start(store, f"short-{number}", little)

        async def append_short(number: int) -> None:
            await store.threads.append(f"short-{number % THREADS}", says(text(number)))

        async def append_long(number: int) -> None:
            await store.threads.append("long", says(text(number)))

        texts(task.sizes.operations)  # created before anything is timed
        await append_long(0)  # the first append may read the thread
        sync_disk(task.sizes.syncs_first)
        taken = await medians_in_turn(task.sizes.operations, append_short, append_long)
    return _figures(little, much, taken) | _sizes(much * SIZE, size)


async def _start(store: treadle.Store, thread: str, length: int) -> None:
    messages = tuple(map(Message.user, texts(length)))
    await store.threads.create(Thread(id=thread, messages=messages))


def _new_url(task: Task, name: str) -> str:
    folder = Path(task.folder) / name
    folder.mkdir()
    return url_in(task.store, folder)


def _figures(less: int, more: int, taken: list[float]) -> dict[str, Any]:
    little, much = taken
    return {"less": less, "more": more, "little": little, "much": much, "growth": much / little}


def _sizes(stored: int, size: int) -> dict[str, float]:
    return {"text": stored / 1e6, "megabytes": size / 1e6, "times_text": size / stored}


WORKLOAD = Workload(
    name="flatness",
    about="claims and appends of Treadle in small and in large stores",
    work=work,
    columns=columns,
    subjects=(TreadleThreads,),
    measure=measure,
)
