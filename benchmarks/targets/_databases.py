"""Targets of SQLite, and of any other store that `--store` names; plain files have others."""

from benchmarks.tables import Row, Table
from benchmarks.targets._target import (
    FLAT,
    Target,
    at_least,
    at_most,
    beside,
    beside_best,
    unknown,
)


def one_caller(table: Table, row: Row) -> list[Target]:
    """Judge the appends of one caller beside the same statements, and beside a session store."""
    if _is_other(row):
        return []
    who = f"{row.who}, one-caller"
    times = row.figures["times_floor"]
    return [
        _by_floor(f"{who}: OpenAI SQLiteSession's rate", table, times, "OpenAI", 1.25),
        at_most(f"{who}: time of the same statements by hand", times, 1.6),
    ]


def _by_floor(
    name: str, table: Table, times: float, other: str, least: float, figure: str = "times_floor"
) -> Target:
    """Compare rates by the floor that took turns with each: the disk's speed may have changed."""
    found = [row for row in table.rows if row.who.startswith(other) and row.figures]
    if not found:
        return unknown(name, f"at least {least:g} times", f"{other} was not measured")
    return at_least(name, found[0].figures[figure] / times, least)


def many_callers(table: Table, row: Row) -> list[Target]:
    """Judge the appends of many callers beside batches by hand, and the best session store."""
    if _is_other(row):
        return []
    who = f"{row.who}, many-callers"
    return [
        beside(
            f"{who}: rate of batches by hand", table, row, "by hand, in batches", "per_second", 0.4
        ),
        beside_best(f"{who}: best session store's rate", table, row, "per_second", 8),
    ]


def queue(table: Table, row: Row) -> list[Target]:
    """Judge claims and acks beside the same by hand, and beside queues that are durable."""
    if _is_other(row):
        return []
    who = f"{row.who}, queue"
    targets = [
        beside(
            f"{who}: many, rate of batches by hand", table, row, "by hand, in batches", "many", 0.2
        ),
        beside_best(f"{who}: many, best durable peer's rate", table, row, "many", 7),
    ]
    if "one_floor" not in row.figures:
        return targets
    times = row.figures["one_floor"]
    return [
        at_least(f"{who}: one worker, rate by hand", 1 / times, 0.6),
        _by_floor(
            f"{who}: one worker, rate of litequeue made durable",
            table,
            times,
            "litequeue, made durable",
            1,
            "one_floor",
        ),
        *targets,
    ]


def worker(table: Table, row: Row) -> list[Target]:
    """Judge a worker beside the bare drain."""
    if _is_other(row) or "part" not in row.figures:
        return []
    return [at_least(f"{row.who}: rate of the bare drain", row.figures["part"], 0.8)]


def flatness(table: Table, row: Row) -> list[Target]:
    """Judge the costs in small and in large stores, and what a million entries take."""
    if _is_other(row):
        return []
    targets = flat(table, row)
    if "claim" in row.who:
        times = row.figures["times_text"]
        targets.append(at_most(f"{row.who}, flatness: bytes of entries, to payloads", times, 2.5))
    return targets


def flat(table: Table, row: Row) -> list[Target]:
    """Judge a cost that does not grow with the store."""
    if _is_other(row):
        return []
    return [at_most(f"{row.who}, {table.name}: large to small", row.figures["growth"], FLAT)]


def heads(table: Table, row: Row) -> list[Target]:
    """Judge lists of threads."""
    if _is_other(row):
        return []
    who = f"{row.who}, heads"
    growth = at_most(f"{who}: many to few", row.figures["growth"], FLAT)
    if "title" in row.who:
        return [growth]
    return [growth, at_most(who, row.figures["many"], 2_000, "µs")]


def _is_other(row: Row) -> bool:
    return "(files)" in row.who
