"""Reads of the last messages of short and of long threads."""

from pathlib import Path
from typing import Any, cast

from benchmarks.measure import medians_in_turn, sync_disk
from benchmarks.peers import THREAD_STORES
from benchmarks.peers.base import Subject, ThreadSubject
from benchmarks.peers.by_hand import ByHand
from benchmarks.sizes import Sizes
from benchmarks.tables import Column, Row
from benchmarks.texts import texts
from benchmarks.workloads.base import Task, Workload, opened, title


def work(sizes: Sizes) -> str:
    """Describe the work."""
    return f"read the last {sizes.page} messages of a thread, as the objects that its user gets"


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """Return the columns of the table."""
    return (
        *(Column(f"of_{length}", f"of {length:,}, µs") for length in sizes.lengths),
        *(Column(f"floor_{length}", "x floor", "{:.2f}") for length in sizes.lengths),
        Column("growth", "longest/shortest", "{:.2f}"),
    )


async def measure(kind: type[Subject], task: Task) -> list[Row]:
    """Measure a store of threads."""
    thread_store = cast("type[ThreadSubject]", kind)
    folder = Path(task.folder)
    figures: dict[str, float] = {}
    durability = ""
    lengths = [
        length
        for length in task.sizes.lengths
        if thread_store.fills_quickly or length <= task.sizes.longest_for_peers
    ]
    for length in lengths:
        async with (
            opened(ByHand, folder / f"floor-{length}") as floor,
            opened(thread_store, folder / f"subject-{length}", task.store) as subject,
        ):
            taken, floor_taken = await _read(subject, floor, length, task.sizes)
            durability = subject.durability()
        figures |= {f"of_{length}": taken, f"floor_{length}": taken / floor_taken}
    figures["growth"] = figures[f"of_{lengths[-1]}"] / figures[f"of_{lengths[0]}"]
    return [Row(who=title(kind, task.store), durability=durability, figures=figures)]


async def _read(
    subject: ThreadSubject, floor: ThreadSubject, length: int, sizes: Sizes
) -> list[float]:
    contents = texts(length)
    thread: Any = await subject.start("t", contents)
    floor_thread: Any = await floor.start("t", contents)

    async def read(_: int) -> None:
        page = await subject.last(thread, sizes.page)
        assert len(page) == sizes.page

    async def read_floor(_: int) -> None:
        page = await floor.last(floor_thread, sizes.page)
        assert len(page) == sizes.page

    sync_disk(sizes.syncs_first)
    await read(0)  # the first read may fill caches
    return await medians_in_turn(
        sizes.reads // 5 if subject.slow else sizes.reads, read, read_floor
    )


WORKLOAD = Workload(
    name="pages",
    about="read the last page of short and of long threads",
    work=work,
    columns=columns,
    subjects=THREAD_STORES,
    measure=measure,
)
