"""Targets of adapters, beside what the frameworks themselves store in."""

from benchmarks.tables import Row, Table
from benchmarks.targets._target import Target, beside_best


def adk(table: Table, row: Row) -> list[Target]:
    """Judge sessions of Google ADK beside its SQLite service."""
    return [
        beside_best(
            f"{row.who}, {table.name}: its SQLite service's rate, {figure}", table, row, figure, 5
        )
        for figure in ("one", "many")
    ]
