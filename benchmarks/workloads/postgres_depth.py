"""Claims on PostgreSQL from a deep and from a shallow queue, which take turns."""

from pathlib import Path
from typing import Any, cast

from benchmarks.measure import medians_in_turn
from benchmarks.peers.base import Subject
from benchmarks.peers.postgres.treadle_store import TreadleDrain
from benchmarks.peers.treadle_store import claim_and_ack, opening_and_closing
from benchmarks.sizes import Sizes
from benchmarks.tables import Column, Row
from benchmarks.texts import PAYLOAD, payload
from benchmarks.workloads.base import Task, Workload, opened, title


def work(sizes: Sizes) -> str:
    """Describe the work."""
    return (
        f"claim and ack, one by one, with {sizes.depths[0]:,} and with {sizes.depths[1]:,} entries "
        f"queued, {sizes.entries_each} in a mailbox, in turn; and to open and close these stores"
    )


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """Return the columns of the table."""
    return (
        Column("little", "shallow, µs"),
        Column("much", "deep, µs"),
        Column("growth", "deep/shallow", "{:.2f}"),
        Column("megabytes", "MB, deep", "{:,.0f}"),
        Column("times", "x payloads", "{:.2f}"),
    )


async def measure(kind: type[Subject], task: Task) -> list[Row]:
    """Measure Treadle."""
    drained = cast("type[TreadleDrain]", kind)
    folder = Path(task.folder)
    async with (
        opened(drained, folder / "shallow", task.store) as shallow,
        opened(drained, folder / "deep", task.store) as deep,
    ):
        for subject, depth in zip((shallow, deep), task.sizes.depths, strict=True):
            payloads = [payload(number) for number in range(depth)]
            await subject.fill(payloads, max(1, depth // task.sizes.entries_each))
            subject.rest()

        async def work_shallow(_: int) -> None:
            await claim_and_ack(shallow.opened)

        async def work_deep(_: int) -> None:
            await claim_and_ack(deep.opened)

        operations = min(task.sizes.operations, task.sizes.depths[0] // 2)
        for number in range(10):  # psycopg prepares a statement after a few uses
            await work_shallow(number)
            await work_deep(number)
        little, much = await medians_in_turn(operations, work_shallow, work_deep)
        figures: dict[str, Any] = {"little": little, "much": much, "growth": much / little}
        stored = deep.bytes_now() - deep.before
        figures["megabytes"] = stored / 1e6
        figures["times"] = stored / (task.sizes.depths[1] * PAYLOAD)
        durability = deep.durability()
        opening = await medians_in_turn(
            task.sizes.opens, opening_and_closing(shallow.url()), opening_and_closing(deep.url())
        )
    who = title(kind, "")
    return [
        Row(who=who, durability=durability, figures=figures),
        Row(who=f"{who}, open", durability=durability, figures=_figures(opening)),
    ]


def _figures(taken: list[float]) -> dict[str, float]:
    little, much = taken
    return {"little": little, "much": much, "growth": much / little}


WORKLOAD = Workload(
    name="postgres-depth",
    about="claim and ack on PostgreSQL, with a shallow and with a deep queue",
    work=work,
    columns=columns,
    subjects=(TreadleDrain,),
    measure=measure,
)
