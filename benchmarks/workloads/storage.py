"""The size of stored messages, beside that of their text."""

import asyncio
from pathlib import Path
from typing import cast

from benchmarks.peers import STORED
from benchmarks.peers.base import Subject, ThreadSubject
from benchmarks.sizes import Sizes
from benchmarks.tables import Column, Row
from benchmarks.texts import text, texts
from benchmarks.workloads.base import Task, Workload, opened, settle, title_of


def work(sizes: Sizes) -> str:
    """Describe the work."""
    lengths = " and of ".join(f"{length:,}" for length in sizes.text_lengths)
    return (
        f"{sizes.stored:,} messages of {lengths} characters in threads of {sizes.messages_each}, "
        "each appended in a commit: what the store takes on disk with everything in it, such as "
        "indexes and deltas, but without write-ahead logs of servers"
    )


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """Return the columns of the table."""
    return (
        Column("messages", "messages"),
        *(
            column
            for length in sizes.text_lengths
            for column in (
                Column(f"each_{length}", f"of {length:,}: bytes each"),
                Column(f"times_{length}", "x text", "{:.2f}"),
            )
        ),
    )


async def measure(kind: type[Subject], task: Task) -> list[Row]:
    """Measure a store of threads."""
    store = cast("type[ThreadSubject]", kind)
    count = task.sizes.stored_slow if kind.slow else task.sizes.stored
    texts(count)  # created before anything is written
    figures: dict[str, float] = {"messages": count}
    durability = ""
    for length in task.sizes.text_lengths:
        async with opened(store, Path(task.folder) / str(length), task.store) as subject:
            await _append(subject, count, length, task.sizes.messages_each)
            settle(subject, task.sizes)
            durability = subject.durability()
        each = subject.size() / count
        figures |= {f"each_{length}": each, f"times_{length}": each / length}
    return [Row(who=title_of(kind, task), durability=durability, figures=figures)]


async def _append(subject: ThreadSubject, count: int, length: int, messages_each: int) -> None:
    async def fill(first: int) -> None:
        thread = await subject.start(f"t{first}")
        for number in range(first, min(first + messages_each, count)):
            await subject.append(thread, text(number)[:length])

    firsts = range(0, count, messages_each)
    if subject.commits_together:
        await asyncio.gather(*map(fill, firsts))
        return
    for first in firsts:
        await fill(first)


WORKLOAD = Workload(
    name="storage",
    about="what messages take on disk, beside their text",
    work=work,
    columns=columns,
    subjects=STORED,
    measure=measure,
    is_timed=False,
)
