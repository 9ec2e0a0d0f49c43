"""Targets of plain files, beside the same files and syncs by hand."""

from benchmarks.tables import Row, Table
from benchmarks.targets._target import FLAT, Target, at_least, at_most

SYNCS = 4_000
"""Absolute targets hold for a disk that syncs so many times a second; a slower disk owes less."""
SHORT = 100
"""Messages in a short thread, to which one caller's appends are judged."""


def judge(table: Table, syncs: int) -> list[Target]:
    """Judge the table of the workload `files`."""

    def rows(what: str) -> list[Row]:
        return [row for row in table.rows if row.who.endswith(f", {what}") and row.figures]

    def growth(what: str) -> float:
        found = [row.figures["median"] for row in rows(what)]
        return found[-1] / found[0]

    by_hand = [
        at_least(
            f"files: append to {row.figures['there']:.0f} messages, rate by hand",
            1 / row.figures["times_floor"],
            0.5,
        )
        for row in rows("append")
        if row.figures["there"] <= SHORT
    ]
    at_once = [
        at_least(f"files: {what}", row.figures["per_second"], least * min(syncs / SYNCS, 1), "/s")
        for what, least in (("append, many callers", 10_000), ("claim + ack, many", 5_000))
        for row in rows(what)
    ]
    return [
        *by_hand,
        *at_once,
        at_most("files: append, longest thread to shortest", growth("append"), 4),
        at_most("files: claim + ack, deepest queue to shallowest", growth("claim + ack"), FLAT),
    ]
