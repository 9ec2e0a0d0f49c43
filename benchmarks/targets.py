"""Targets, and whether the measured figures meet them."""

from collections.abc import Iterable

import msgspec

from benchmarks.tables import Row, Table

FLAT = 1.5
"""A cost counts as flat up to this factor, because of noise."""
NOISE = 0.1
"""Two costs that take turns count as equal up to this part."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A target, and the measured figure."""

    name: str
    wanted: str
    measured: float
    met: bool


def judge(tables: Iterable[Table], syncs: int) -> list[Target]:
    """Judge the figures of Treadle, on a disk that syncs so many times a second."""
    return [target for table in tables for target in _judge_table(table, syncs)]


def _judge_table(table: Table, syncs: int) -> list[Target]:
    if table.name == "files":
        return _judge_files(table, syncs) if all(row.figures for row in table.rows) else []
    ours = [row for row in table.rows if row.who.startswith("treadle (") and row.figures]
    if table.name == "documents":
        return [target for row in ours for target in _judge_documents(row)]
    if table.name == "storage":
        return [
            _at_most(f"{row.who}, storage: to the text of 1 KB", row.figures["times_1000"], 1.5)
            for row in ours
        ]
    if table.name == "latency":
        return [target for row in ours for target in _judge_latency(row)]
    return [target for row in ours if "(files)" not in row.who for target in _judge(table, row)]


def _judge_files(table: Table, syncs: int) -> list[Target]:
    def growth(what: str) -> float:
        found = [row.figures["median"] for row in table.rows if row.who.endswith(what)]
        return found[-1] / found[0]

    [commits] = [row.figures["per_second"] for row in table.rows if row.who.endswith("callers")]
    wanted = 3_000 * min(syncs / 4_000, 1)
    return [
        _at_most("files: append, longest thread to shortest", growth(", append"), 4),
        _at_most("files: claim + ack, deepest queue to shallowest", growth(", claim + ack"), FLAT),
        Target(
            name="files: durable commits a second, many callers",
            wanted=f"at least {wanted:,.0f} (3,000 where the disk syncs 4,000 times)",
            measured=round(commits),
            met=commits >= wanted,
        ),
    ]


def _judge(table: Table, row: Row) -> list[Target]:
    who = f"{row.who}, {table.name}"
    match table.name:
        case "flatness" | "pages" | "edits":
            return [_at_most(f"{who}: large to small", row.figures["growth"], FLAT)]
        case "heads":
            flat = _at_most(f"{who}: many to few", row.figures["growth"], FLAT)
            return [flat] if "title" in row.who else [flat, _within(who, row, 2_000)]
        case "one-caller":
            rate = 1 / row.figures["times_floor"]
            return [_at_least(f"{who}: part of the floor's rate", rate, 0.4)]
        case "many-callers":
            return [
                *_beside_best(f"{who}: best peer's rate", table, row, "per_second", 6),
                _at_least(
                    f"{who}: part of the batched floor's rate",
                    row.figures["per_second"] / _rate(table, "batches", "per_second"),
                    0.5,
                ),
            ]
        case "queue":
            return _beside_best(f"{who}: best peer that survives a crash", table, row, "many", 5)
        case "adapters-adk":
            return [
                target
                for figure in ("one", "many")
                for target in _beside_best(
                    f"{who}: its SQLite service's rate, {figure}", table, row, figure, 5
                )
            ]
        case "postgres-depth":
            return [
                _at_most(f"{who}: deep to shallow", row.figures["growth"], FLAT),
                _at_most(f"{who}: bytes an entry, to its payload", row.figures["times"], 2.25),
            ]
        case "postgres-appends":
            return _judge_appends(table, row)
        case "postgres-tables" if "slowed" in row.figures:
            return [_at_most(f"{who}: last round to first", row.figures["slowed"], 1.2)]
        case "postgres-drain" if row.figures["batch"] > 1:
            return _judge_drain(table, row)
        case _:
            return []


def _judge_appends(table: Table, row: Row) -> list[Target]:
    """Compare with the same statements by hand, and with the best session store."""
    who = f"{row.who}, {table.name}"
    by_hand = _rate(table, "the same statements", "one")
    best = [
        target
        for figure, least in (("one", 3), ("many", 2))
        for target in _beside_best(
            f"{who}: best session store's rate, {figure}", table, row, figure, least
        )
    ]
    return [
        _at_least(f"{who}: part of the rate by hand, one", row.figures["one"] / by_hand, 0.7),
        Target(
            name=f"{who}: appends a second, many callers",
            wanted="at least 14,000",
            measured=round(row.figures["many"]),
            met=row.figures["many"] >= 14_000,
        ),
        *best,
        _at_most(f"{who}: long to short", row.figures["growth"], FLAT),
    ]


def _judge_drain(table: Table, row: Row) -> list[Target]:
    """Compare with pgqueuer at the same batch size, and with procrastinate, if installed.

    A worker is also compared with the bare drain.
    """
    batch = row.figures["batch"]
    targets: list[Target] = []
    if row.who.endswith("Worker") and batch == 100:
        bare = row.who.removesuffix(", Worker")
        for each in table.rows:
            if each.who == bare and each.figures.get("batch") == batch:
                part = row.figures["per_second"] / each.figures["per_second"]
                targets.append(_at_least(f"{row.who}, {table.name}: part of the drain", part, 0.8))
    for peer, least in (("pgqueuer", 1), ("procrastinate", 15)):
        for each in table.rows:
            same = each.figures.get("batch") in (1, batch) and each.who.startswith(peer)
            if same:
                times = row.figures["per_second"] / each.figures["per_second"]
                name = f"{row.who}, {table.name}, batch {batch:.0f}: {peer}'s rate"
                targets.append(_at_least(name, times, least))
    return targets


def _judge_documents(row: Row) -> list[Target]:
    who = f"{row.who}, documents"
    if "open" in row.who or "after it" in row.who:
        return [_within(who, row, 2_000_000)]
    flat = _at_most(f"{who}: many to few", row.figures["growth"], FLAT)
    if "times_append" not in row.figures:
        return [flat]
    return [flat, _at_most(f"{who}: to an append", row.figures["times_append"], 1 + NOISE)]


_LATENCIES = {"send": 25, "resume": 25, "interrupt": 250, "here": 50, "idle": 1}
"""The most milliseconds of each figure, and percent of a core."""


def _judge_latency(row: Row) -> list[Target]:
    return [
        Target(
            name=f"{row.who}, latency: {figure}",
            wanted=f"at most {most} {'% of a core' if figure == 'idle' else 'ms'}",
            measured=round(row.figures[figure], 2),
            met=row.figures[figure] <= most,
        )
        for figure, most in _LATENCIES.items()
        if figure in row.figures
    ]


def _beside_best(name: str, table: Table, row: Row, figure: str, least: float) -> list[Target]:
    """Compare with the best of the peers, if any is installed."""
    peers = [
        each.figures[figure]
        for each in table.rows
        if not each.who.startswith(("treadle", "by hand"))
        and not each.note.startswith("LOST")
        and figure in each.figures
    ]
    return [_at_least(name, row.figures[figure] / max(peers), least)] if peers else []


def _rate(table: Table, who: str, figure: str) -> float:
    return next((row.figures[figure] for row in table.rows if who in row.who), float("inf"))


def _within(who: str, row: Row, most: float) -> Target:
    return Target(
        name=f"{who}, µs",
        wanted=f"at most {most:,.0f}",
        measured=round(row.figures["many"]),
        met=row.figures["many"] <= most,
    )


def _at_least(name: str, measured: float, least: float) -> Target:
    return Target(
        name=name,
        wanted=f"at least {least:g} times",
        measured=round(measured, 2),
        met=measured >= least,
    )


def _at_most(name: str, measured: float, most: float) -> Target:
    return Target(
        name=name,
        wanted=f"at most {most:g} times",
        measured=round(measured, 2),
        met=measured <= most,
    )
