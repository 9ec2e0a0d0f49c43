"""Targets, and whether the measured figures meet them.

A target compares figures of one run, so that it does not depend on the machine. A few are absolute;
they hold for two cores and a disk that syncs some 5,000 times a second.
"""

from collections.abc import Callable, Iterable, Mapping

from benchmarks.tables import Row, Table
from benchmarks.targets import (
    _adapters,
    _dashboard,
    _databases,
    _files,
    _http,
    _latency,
    _postgres,
    _sizes,
    _streams,
)
from benchmarks.targets._target import Target, at_most, unknown

_TABLES: Mapping[str, Callable[[Table, int], list[Target]]] = {"files": _files.judge}
"""Tables that are judged as a whole."""

_ROWS: Mapping[str, Callable[[Table, Row], list[Target]]] = {
    "one-caller": _databases.one_caller,
    "many-callers": _databases.many_callers,
    "queue": _databases.queue,
    "worker": _databases.worker,
    "flatness": _databases.flatness,
    "pages": _databases.flat,
    "edits": _databases.flat,
    "heads": _databases.heads,
    "documents": _sizes.documents,
    "storage": _sizes.storage,
    "memory": _sizes.memory,
    "latency": _latency.judge,
    "http": _http.judge,
    "streams": _streams.judge,
    "dashboard": _dashboard.judge,
    "adapters-adk": _adapters.adk,
    "adapters-langgraph": _adapters.langgraph,
    "adapters-openai": _adapters.openai,
    "postgres-appends": _postgres.appends,
    "postgres-drain": _postgres.drain,
    "postgres-depth": _postgres.depth,
    "postgres-tables": _postgres.tables,
}
"""Tables in which each row of Treadle is judged."""


def judge(tables: Iterable[Table], syncs: int) -> list[Target]:
    """Judge the figures of Treadle, on a disk that syncs so many times a second."""
    return [target for table in tables for target in _judge(table, syncs)]


def _judge(table: Table, syncs: int) -> list[Target]:
    ours = [row for row in table.rows if row.who.startswith("treadle")]
    if table.name not in _TABLES and table.name not in _ROWS:
        return []
    # A target is never hidden because its figures are missing.
    missing = [
        unknown(f"{row.who}, {table.name}", "its targets", row.missing)
        for row in ours
        if not row.figures
    ]
    if table.name in _TABLES:
        return missing or _TABLES[table.name](table, syncs)
    judged = [target for row in ours if row.figures for target in _ROWS[table.name](table, row)]
    return [*judged, *missing]


__all__ = ["Target", "at_most", "judge"]
