"""Targets of the HTTP API."""

from benchmarks.tables import Row, Table
from benchmarks.targets._target import Target, at_most

MOST_MICROSECONDS = 100


def judge(table: Table, row: Row) -> list[Target]:
    """Judge what the API adds."""
    name = f"{row.who}, {table.name}: above the store's call and a bare route"
    return [at_most(name, row.figures["above"], MOST_MICROSECONDS, "µs")]
