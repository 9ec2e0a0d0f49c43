"""Targets of the dashboard."""

from benchmarks.tables import Row, Table
from benchmarks.targets._target import Target, at_most

MOST_MS = 200


def judge(table: Table, row: Row) -> list[Target]:
    """Judge what a page takes."""
    return [at_most(f"{row.who}, {table.name}", row.figures["median"], MOST_MS, "ms")]
