"""Targets of adapters, beside what the frameworks themselves store in."""

from benchmarks.tables import Row, Table
from benchmarks.targets._target import Target, at_least, beside, beside_best, unknown


def adk(table: Table, row: Row) -> list[Target]:
    """Judge sessions of Google ADK beside its SQLite service."""
    return [
        beside_best(
            f"{row.who}, {table.name}: its SQLite service's rate, {figure}", table, row, figure, 5
        )
        for figure in ("one", "many")
    ]


def langgraph(table: Table, row: Row) -> list[Target]:
    """Judge our checkpointer beside LangGraph's on the same database."""
    who = f"{row.who}, {table.name}"
    if "postgresql" in row.who:
        other = "LangGraph AsyncPostgresSaver"
        name = f"{who}: {other}'s rate, many threads"
        return [beside(name, table, row, other, "many", 4)]
    other = "LangGraph AsyncSqliteSaver"
    if "sqlite" not in row.who:
        return []
    found = [each.figures for each in table.rows if each.who.startswith(other) and each.figures]
    if not found:
        return [unknown(f"{who}: size and last turns", f"beside {other}", "it was not measured")]
    [theirs] = found
    return [
        at_least(f"{who}: {other}'s {what}, to ours", theirs[key] / row.figures[key], least)
        for key, what, least in (("megabytes", "size", 50), ("last", "last turns", 2))
    ]


def openai(table: Table, row: Row) -> list[Target]:
    """Judge sessions of the OpenAI Agents SDK beside its SQLite sessions."""
    return [
        beside_best(
            f"{row.who}, {table.name}: SQLiteSession's rate, {figure}", table, row, figure, least
        )
        for figure, least in (("one", 1.2), ("many", 5))
    ]
