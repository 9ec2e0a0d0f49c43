"""Changes of short and of long threads: the last message is taken back, and a title changes."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias, cast

from benchmarks.measure import medians_in_turn
from benchmarks.peers import EDITED
from benchmarks.peers.base import EditSubject, Subject
from benchmarks.sizes import Sizes
from benchmarks.stores import is_files
from benchmarks.tables import Column, Row
from benchmarks.texts import text, texts
from benchmarks.workloads.base import Task, Workload, opened, settle, title_of

Call: TypeAlias = Callable[[Any, int], Awaitable[object]]
Operation: TypeAlias = Callable[[int], Awaitable[object]]
THREADS = 10
"""Short threads that take turns, so that their deltas stay few."""


def work(sizes: Sizes) -> str:
    """Describe the work."""
    little, much = sizes.edited
    return (
        f"threads of {little:,} and {much:,} messages of 1 KB (files: a tenth), in turn: append a "
        "message, take the last one back, change the title"
    )


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """Return the columns of the table."""
    return (
        Column("more", "long thread"),
        Column("little", "short, µs"),
        Column("much", "long, µs"),
        Column("growth", "long/short", "{:.2f}"),
    )


async def measure(kind: type[Subject], task: Task) -> list[Row]:
    """Measure a store of threads."""
    store = cast("type[EditSubject]", kind)
    sizes = task.sizes
    little, much = sizes.edited
    if task.store and is_files(task.store):
        much //= 10
    async with opened(store, Path(task.folder) / "subject", task.store) as subject:
        long = await subject.start("long", texts(much))
        short = [await subject.start(f"short-{number}", texts(little)) for number in range(THREADS)]
        settle(subject, sizes)
        calls = _calls(subject)
        pairs = [_of_short_and_long(call, short, long) for call in calls.values()]
        operations = [operation for pair in pairs for operation in pair]
        for operation in operations:
            await operation(0)  # the first one may read the thread
        taken = await medians_in_turn(sizes.operations, *operations)
        durability = subject.durability()
    return [
        Row(
            who=f"{title_of(kind, task)}, {what}",
            durability=durability,
            figures={"more": much, "little": quick, "much": slow, "growth": slow / quick},
        )
        for what, quick, slow in zip(calls, taken[::2], taken[1::2], strict=True)
    ]


def _calls(subject: EditSubject) -> dict[str, Call]:
    async def append(thread: Any, number: int) -> None:
        await subject.append(thread, text(number))

    async def take_back(thread: Any, _: int) -> None:
        await subject.take_back(thread)

    async def rename(thread: Any, number: int) -> None:
        await subject.rename(thread, f"title {number}")

    calls: dict[str, Call] = {"append": append, "take back": take_back}
    return calls | ({"new title": rename} if subject.has_titles else {})


def _of_short_and_long(call: Call, short: list[Any], long: Any) -> tuple[Operation, Operation]:
    return lambda number: call(short[number % THREADS], number), lambda number: call(long, number)


WORKLOAD = Workload(
    name="edits",
    about="the last message taken back and a new title, in short and in long threads",
    work=work,
    columns=columns,
    subjects=EDITED,
    measure=measure,
)
