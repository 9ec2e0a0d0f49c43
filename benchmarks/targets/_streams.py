"""Targets of streams of events."""

from benchmarks.tables import Row, Table
from benchmarks.targets._target import Target, at_most

MOST = {
    "lost": (0, "events"),
    "kilobytes": (50, "kB"),
    "idle": (15, "% of a core"),
    "message": (60, "ms"),
    "token": (30, "ms"),
    "stop": (1, "s"),
}
"""The most of each figure."""


def judge(table: Table, row: Row) -> list[Target]:
    """Judge all figures."""
    return [
        at_most(f"{row.who}, {table.name}: {figure}", row.figures[figure], most, unit)
        for figure, (most, unit) in MOST.items()
    ]
