"""Targets of handlers that begin and are cancelled."""

from benchmarks.tables import Row, Table
from benchmarks.targets._target import Target, at_most

MOST = {"send": 25, "resume": 25, "interrupt": 250, "here": 50, "idle": 1}
"""The most milliseconds of each figure, and percent of a core."""


def judge(table: Table, row: Row) -> list[Target]:
    """Judge the figures that there are."""
    return [
        at_most(
            f"{row.who}, {table.name}: {figure}",
            row.figures[figure],
            most,
            "% of a core" if figure == "idle" else "ms",
        )
        for figure, most in MOST.items()
        if figure in row.figures
    ]
