"""The last messages of a thread, however long it is."""

from pathlib import Path
from typing import Any, cast

from benchmarks.measure import medians_in_turn, settle
from benchmarks.peers import KEEPERS
from benchmarks.peers.base import Subject, ThreadSubject
from benchmarks.peers.by_hand import ByHand
from benchmarks.sizes import Sizes
from benchmarks.tables import Column, Row
from benchmarks.texts import texts
from benchmarks.workloads.base import Task, Workload, opened, title


def work(sizes: Sizes) -> str:
    """What is done."""
    return f"read the last {sizes.page} messages of a thread, as the objects its user gets"


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """What is told."""
    return (
        *(Column(f"of_{length}", f"of {length:,}, µs") for length in sizes.lengths),
        *(Column(f"floor_{length}", "x floor", "{:.2f}") for length in sizes.lengths),
        Column("growth", "longest/shortest", "{:.2f}"),
    )


async def measure(kind: type[Subject], task: Task) -> list[Row]:
    """Measure a keeper of threads."""
    keeper = cast("type[ThreadSubject]", kind)
    place = Path(task.folder)
    figures: dict[str, float] = {}
    durability = ""
    lengths = [
        length
        for length in task.sizes.lengths
        if keeper.fills_quickly or length <= task.sizes.longest_for_peers
    ]
    for length in lengths:
        async with (
            opened(ByHand, place / f"floor-{length}") as floor,
            opened(keeper, place / f"subject-{length}", task.store) as subject,
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

    settle(sizes.settles)
    await read(0)  # whatever the first read prepares is not counted
    return await medians_in_turn(
        sizes.reads // 5 if subject.slow else sizes.reads, read, read_floor
    )


WORKLOAD = Workload(
    name="pages",
    about="the last page of short and of long threads is read",
    work=work,
    columns=columns,
    subjects=KEEPERS,
    measure=measure,
)
