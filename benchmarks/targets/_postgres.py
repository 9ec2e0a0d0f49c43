"""Targets of PostgreSQL."""

from benchmarks.tables import Row, Table
from benchmarks.targets._target import FLAT, Target, at_least, at_most, beside, beside_best, unknown

PEERS = {"pgqueuer": 1, "procrastinate": 15}
"""Queues beside which a drain is judged, and the multiples of their rates."""


def appends(table: Table, row: Row) -> list[Target]:
    """Judge appends beside the same statements by hand, and beside the best session store."""
    who = f"{row.who}, {table.name}"
    by_hand = "by hand (psycopg, the same statements"
    return [
        beside(f"{who}: one, rate of the same statements by hand", table, row, by_hand, "one", 0.7),
        at_least(f"{who}: many", row.figures["many"], 14_000, "a second"),
        beside_best(f"{who}: one, best session store's rate", table, row, "one", 3),
        beside_best(f"{who}: many, best session store's rate", table, row, "many", 2),
        at_most(f"{who}: long to short", row.figures["growth"], FLAT),
    ]


def drain(table: Table, row: Row) -> list[Target]:
    """Judge a drain in batches beside its peers, and a worker also beside the bare drain."""
    batch = row.figures["batch"]
    if batch == 1:
        return []
    who = f"{row.who}, {table.name}, batch {batch:.0f}"
    targets = [
        _beside_same(f"{who}: {peer}'s rate", table, row, peer, least)
        for peer, least in PEERS.items()
    ]
    if row.who.endswith(", Worker") and batch == 100:
        bare = row.who.removesuffix(", Worker")
        targets.append(_beside_same(f"{who}: rate of the bare drain", table, row, bare, 0.8))
    return targets


def _beside_same(name: str, table: Table, row: Row, other: str, least: float) -> Target:
    """Compare with another's rate at the same batch size, or without batches if it has none."""
    rates = {
        each.figures["batch"]: each.figures["per_second"]
        for each in table.rows
        if (each.who == other or each.who.startswith(f"{other} ")) and each.figures
    }
    rate = rates.get(row.figures["batch"], rates.get(1))
    if rate is None:
        return unknown(name, f"at least {least:g} times", f"{other} was not measured")
    return at_least(name, row.figures["per_second"] / rate, least)


def depth(table: Table, row: Row) -> list[Target]:
    """Judge deep queues: claims, opening, and their size."""
    who = f"{row.who}, {table.name}"
    targets = [at_most(f"{who}: deep to shallow", row.figures["growth"], FLAT)]
    if "times" in row.figures:
        # 450 MB for a million payloads of 200 bytes
        targets.append(at_most(f"{who}: bytes of entries, to payloads", row.figures["times"], 2.25))
    return targets


def tables(table: Table, row: Row) -> list[Target]:
    """Judge the whole queue after much use."""
    if "slowed" not in row.figures:
        return []
    who = f"{row.who}, {table.name}"
    return [
        at_most(f"{who}: last round to first", row.figures["slowed"], 1.2),
        at_most(f"{who}: size, to the same tables packed", row.figures["bloat"], 2),
        at_most(f"{who}: updates that write indexes, per entry", row.figures["not_hot"], 0.1, ""),
    ]
