"""Lists of conversations: one head, the newest heads of an owner, and a new title."""

from pathlib import Path
from typing import cast

from benchmarks.measure import medians_in_turn
from benchmarks.peers import HEADS
from benchmarks.peers.base import HeadSubject, Subject
from benchmarks.sizes import Sizes
from benchmarks.tables import Column, Row
from benchmarks.texts import texts
from benchmarks.workloads.base import Task, Workload, opened, settle, title_of

SIZE = 100
"""Characters in a message: long enough for threads that are not read."""


def work(sizes: Sizes) -> str:
    """Describe the work."""
    few, many = sizes.owned
    return (
        f"one owner has {few:,} and {many:,} threads of {sizes.messages_of_owned} messages: read "
        f"the head of a thread, a page of the {sizes.newest} newest heads, and change a title, in "
        "turn"
    )


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """Return the columns of the table."""
    few, many = sizes.owned
    return (
        Column("few", f"of {few:,}, µs"),
        Column("many", f"of {many:,}, µs"),
        Column("growth", "many/few", "{:.2f}"),
    )


async def measure(kind: type[Subject], task: Task) -> list[Row]:
    """Measure a store of threads."""
    store = cast("type[HeadSubject]", kind)
    sizes = task.sizes
    messages = [text[:SIZE] for text in texts(sizes.messages_of_owned)]
    few, many = sizes.owned
    async with (
        opened(store, Path(task.folder) / "few", task.store) as small,
        opened(store, Path(task.folder) / "many", task.store) as large,
    ):
        await small.fill(few, messages)
        await large.fill(many, messages)
        for subject in (small, large):
            settle(subject, sizes)
        figures = {
            "head": await _heads(small, large, sizes),
            f"{sizes.newest} newest heads": await _newest(small, large, sizes),
            "new title": await _rename(small, large, sizes),
        }
        durability = small.durability()
    return [
        Row(
            who=f"{title_of(kind, task)}, {what}",
            durability=durability,
            figures={"few": quick, "many": slow, "growth": slow / quick},
            note=store.note,
        )
        for what, (quick, slow) in figures.items()
    ]


async def _heads(small: HeadSubject, large: HeadSubject, sizes: Sizes) -> list[float]:
    few, many = sizes.owned

    async def read_small(number: int) -> None:
        assert await small.head(number % few)

    async def read_large(number: int) -> None:
        assert await large.head(number * many // sizes.reads % many)

    return await medians_in_turn(sizes.reads, read_small, read_large)


async def _newest(small: HeadSubject, large: HeadSubject, sizes: Sizes) -> list[float]:
    async def read_small(_: int) -> None:
        assert len(await small.newest(sizes.newest)) == sizes.newest

    async def read_large(_: int) -> None:
        assert len(await large.newest(sizes.newest)) == sizes.newest

    await read_small(0)  # the first listing of files looks at all threads
    await read_large(0)
    reads = sizes.reads // 5 if large.slow else sizes.reads
    return await medians_in_turn(reads, read_small, read_large)


async def _rename(small: HeadSubject, large: HeadSubject, sizes: Sizes) -> list[float]:
    few, many = sizes.owned

    async def rename_small(number: int) -> None:
        await small.rename(number % few, f"renamed {number}")

    async def rename_large(number: int) -> None:
        await large.rename(number * many // sizes.operations % many, f"renamed {number}")

    return await medians_in_turn(sizes.operations, rename_small, rename_large)


WORKLOAD = Workload(
    name="heads",
    about="the newest threads of an owner with few and with many threads, and new titles",
    work=work,
    columns=columns,
    subjects=HEADS,
    measure=measure,
)
