"""Targets of documents, and of what a store takes on disk and in memory."""

from benchmarks.tables import Row, Table
from benchmarks.targets._target import FLAT, NOISE, Target, at_most


def documents(table: Table, row: Row) -> list[Target]:
    """Judge documents in small and large collections."""
    who = f"{row.who}, {table.name}"
    if "open" in row.who or "after it" in row.who:
        return [at_most(who, row.figures["many"], 2_000_000, "µs")]
    flat = at_most(f"{who}: many to few", row.figures["growth"], FLAT)
    if "times_append" not in row.figures:
        return [flat]
    return [flat, at_most(f"{who}: to an append", row.figures["times_append"], 1 + NOISE)]


def storage(table: Table, row: Row) -> list[Target]:
    """Judge the size of messages, with their deltas and everything else."""
    name = f"{row.who}, {table.name}: to the text of 1 KB"
    return [at_most(name, row.figures["times_1000"], 1.5)]


def memory(table: Table, row: Row) -> list[Target]:
    """Judge the growth of a process that uses one store for long."""
    if "(memory)" in row.who:
        return []  # it has what it stores in memory
    return [at_most(f"{row.who}, {table.name}: growth", row.figures["grown"], 20, "MB")]
