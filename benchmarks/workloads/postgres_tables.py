"""The tables of a queue on PostgreSQL after much use: their sizes, and how rows were updated."""

import asyncio
import time
from pathlib import Path
from typing import Any

import treadle
from benchmarks.peers.base import Subject
from benchmarks.peers.postgres.treadle_store import TreadleDrain
from benchmarks.peers.treadle_store import send_all
from benchmarks.server import connect
from benchmarks.sizes import Sizes
from benchmarks.tables import Column, Row
from benchmarks.texts import payload
from benchmarks.workloads.base import Task, Workload, opened, title

BATCH = 100
ROUNDS = 10
STATISTICS = """
    select relname, n_live_tup, n_dead_tup, n_tup_ins, n_tup_upd, n_tup_hot_upd, n_tup_del,
        pg_table_size(relid), pg_indexes_size(relid), autovacuum_count
    from pg_stat_user_tables
    where n_tup_ins > 0 and relname <> 'migrations'
    order by pg_total_relation_size(relid) desc
"""
SIZE = "select sum(pg_total_relation_size(relid))::bigint from pg_stat_user_tables"
NAMES = ("live", "dead", "inserted", "updated", "hot", "deleted", "table", "indexes", "vacuums")


def work(sizes: Sizes) -> str:
    """Describe the work."""
    return (
        f"{sizes.churned:,} entries of 200 bytes are sent and settled, in {ROUNDS} rounds "
        f"({sizes.entries_each} in a mailbox, the same mailboxes each time; claimed and settled "
        f"{BATCH} at a time; autovacuum runs as usual); nothing is purged. The size of all tables "
        "and indexes, beside that of the same tables written again without holes; and updates that "
        "had to write indexes, because they were not heap-only"
    )


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """Return the columns of the table."""
    return (
        Column("live", "rows"),
        Column("dead", "dead rows"),
        Column("inserted", "inserted"),
        Column("updated", "updated"),
        Column("hot", "of these HOT"),
        Column("hot_part", "HOT, %"),
        Column("deleted", "deleted"),
        Column("table", "table, MB", "{:,.1f}"),
        Column("indexes", "indexes, MB", "{:,.1f}"),
        Column("vacuums", "autovacuums"),
        Column("slowed", "last round/first", "{:.2f}"),
        Column("bloat", "size/packed", "{:.2f}"),
        Column("not_hot", "not HOT, per entry", "{:.2f}"),
    )


async def measure(kind: type[Subject], task: Task) -> list[Row]:
    """Measure Treadle."""
    each = max(1, task.sizes.churned // ROUNDS)
    mailboxes = max(2, each // task.sizes.entries_each)
    rates: list[float] = []
    async with opened(TreadleDrain, Path(task.folder) / "churned", task.store) as subject:
        for start in range(0, each * ROUNDS, each):
            await _fill(subject, [payload(start + number) for number in range(each)], mailboxes)
            begin = time.perf_counter()
            await subject.drain(BATCH)
            rates.append(each / (time.perf_counter() - begin))
        assert len(set(subject.handled)) == each * ROUNDS
        rows = _read(subject)
        whole = {
            "slowed": rates[0] / rates[-1],
            "bloat": _bloat(subject),
            "not_hot": sum(row["updated"] - row["hot"] for _, row in rows) / (each * ROUNDS),
        }
        durability = subject.durability()
    pace = f"drained {rates[0]:,.0f} a second in the first round, {rates[-1]:,.0f} in the last"
    who = title(kind, "")
    return [
        Row(who=f"{who}, all tables", durability=durability, figures=whole, note=pace),
        *(
            Row(who=f"{who}, {name}", durability=durability, figures=figures)
            for name, figures in rows
        ),
    ]


async def _fill(subject: TreadleDrain, payloads: list[str], mailboxes: int) -> None:
    """Send payloads from two stores, so that two connections insert them."""
    half = len(payloads) // 2
    async with treadle.open_store(subject.url()) as other:
        await asyncio.gather(
            send_all(subject.opened, payloads[:half], mailboxes // 2),
            send_all(other, payloads[half:], mailboxes // 2, prefix="n"),
        )


def _bloat(subject: TreadleDrain) -> float:
    """Return the size of the tables and indexes, to their size after `vacuum full`."""
    before = subject.ask(SIZE)
    with connect(subject.address) as connection:
        connection.execute("vacuum full")
    return float(before / subject.ask(SIZE))


def _read(subject: TreadleDrain) -> list[tuple[str, dict[str, float]]]:
    with connect(subject.address) as connection:
        connection.execute("select pg_stat_force_next_flush()")
        rows = connection.execute(STATISTICS).fetchall()
    return [(row[0], _figures(row[1:])) for row in rows]


def _figures(row: tuple[Any, ...]) -> dict[str, float]:
    figures = {name: float(value) for name, value in zip(NAMES, row, strict=True)}
    figures["table"] /= 1e6
    figures["indexes"] /= 1e6
    if figures["updated"]:
        figures["hot_part"] = figures["hot"] / figures["updated"] * 100
    return figures


WORKLOAD = Workload(
    name="postgres-tables",
    about="the tables of a queue on PostgreSQL after much use: sizes, dead rows, HOT updates",
    work=work,
    columns=columns,
    subjects=(TreadleDrain,),
    measure=measure,
)
