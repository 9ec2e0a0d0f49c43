"""Documents in small and in large collections, whose cost should be the same."""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias, cast

from benchmarks.measure import medians_in_turn, timed
from benchmarks.peers import DOCUMENTS
from benchmarks.peers.base import DocumentSubject, Subject
from benchmarks.sizes import Sizes
from benchmarks.tables import Column, Row
from benchmarks.texts import PAYLOAD, text, texts
from benchmarks.workloads.base import Task, Workload, opened, settle, title_of

Operation: TypeAlias = Callable[[int], Awaitable[object]]
REOPENED = 3
"""How often a store is closed and opened."""


def work(sizes: Sizes) -> str:
    """Describe the work."""
    few, many = sizes.documents
    return (
        f"collections of {few:,} and {many:,} documents of {PAYLOAD} bytes: put, load, a page of "
        f"{sizes.page}, and an append of a message of the same size, in turn; then open the store, "
        "and put once after it"
    )


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """Return the columns of the table."""
    few, many = sizes.documents
    return (
        Column("few", f"of {few:,}, µs"),
        Column("many", f"of {many:,}, µs"),
        Column("growth", "many/few", "{:.2f}"),
        Column("times_append", "x append", "{:.2f}"),
    )


async def measure(kind: type[Subject], task: Task) -> list[Row]:
    """Measure a store of documents."""
    store = cast("type[DocumentSubject]", kind)
    few, many = task.sizes.documents
    if not store.fills_quickly:
        many = min(many, task.sizes.longest_for_peers)
    texts(task.sizes.operations)  # created before anything is timed
    async with (
        opened(store, Path(task.folder) / "few", task.store) as small,
        opened(store, Path(task.folder) / "many", task.store) as large,
    ):
        await small.fill(few)
        await large.fill(many)
        for subject in (small, large):
            settle(subject, task.sizes)
        figures = {
            **await _measure_calls(_Sized(small, few), _Sized(large, many), task.sizes),
            **await _measure_openings(small, large),
        }
        durability = small.durability()
    note = "" if many == task.sizes.documents[1] else f"the large collection has {many:,}"
    return [
        Row(
            who=f"{title_of(kind, task)}, {what}",
            durability=durability,
            figures={**each, "growth": each["many"] / each["few"]},
            note=note,
        )
        for what, each in figures.items()
    ]


class _Sized:
    """A subject and the number of its documents."""

    def __init__(self, subject: DocumentSubject, count: int) -> None:
        self.subject = subject
        self.count = count

    def operations(self, sizes: Sizes) -> dict[str, Operation]:
        """Return what is measured."""
        subject, count = self.subject, self.count

        def spread(number: int) -> int:
            return number * count // sizes.operations % count

        async def put(number: int) -> None:
            await subject.put(spread(number), text(number)[:PAYLOAD])

        async def load(number: int) -> None:
            assert await subject.load(spread(number))

        async def page(number: int) -> None:
            size = min(sizes.page, count // 2)
            assert len(await subject.page(spread(number) // 2, size)) == size

        async def say(number: int) -> None:
            await subject.say(text(number)[:PAYLOAD])

        calls: dict[str, Operation] = {"put": put, "load": load, f"page of {sizes.page}": page}
        return calls | ({"append": say} if subject.appends else {})


async def _measure_calls(small: _Sized, large: _Sized, sizes: Sizes) -> dict[str, dict[str, float]]:
    little, much = small.operations(sizes), large.operations(sizes)
    for operation in (*little.values(), *much.values()):
        await operation(0)  # the first one may build an index
    taken = await medians_in_turn(sizes.operations, *little.values(), *much.values())
    found = {
        what: {"few": quick, "many": slow}
        for what, quick, slow in zip(
            little, taken[: len(little)], taken[len(little) :], strict=True
        )
    }
    if "append" in found:
        found["put"]["times_append"] = found["put"]["many"] / found["append"]["many"]
    return found


async def _measure_openings(
    small: DocumentSubject, large: DocumentSubject
) -> dict[str, dict[str, float]]:
    taken: dict[str, list[float]] = {}
    for turn in range(REOPENED):
        for which, subject in (("few", small), ("many", large)):
            await subject.disconnect()
            start = time.perf_counter()
            await subject.connect()
            taken.setdefault(f"open {which}", []).append(time.perf_counter() - start)
            first = await timed(subject.put(0, f"first {turn}"))
            taken.setdefault(f"first {which}", []).append(first)
    return {
        name: {
            which: sorted(taken[f"{what} {which}"])[REOPENED // 2] * 1e6
            for which in ("few", "many")
        }
        for what, name in (("open", "open"), ("first", "first put after it"))
    }


WORKLOAD = Workload(
    name="documents",
    about="documents in small and in large collections, beside appends of the same size",
    work=work,
    columns=columns,
    subjects=DOCUMENTS,
    measure=measure,
)
