"""The summary of a whole run: the lines of the table in README."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import msgspec

from benchmarks.tables import Row, Table

Wanted: TypeAlias = Callable[[Row], bool]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of work, with the rates of those who did it, a second."""

    work: str
    by_hand: int | None
    treadle: int | None
    peer: int | None
    peer_name: str = ""
    """The best peer, with its version; empty if there is none."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The lines, and what they were measured on."""

    commit: str
    machine: str
    lines: tuple[Line, ...]


class _Work(msgspec.Struct, frozen=True, kw_only=True):
    """Where the figures of a line are found."""

    work: str
    table: str
    figure: str
    by_hand: str | None
    """How the name of the row by hand begins; None if nothing by hand does the same."""
    treadle: str
    """The name of Treadle's row."""
    batch: int = 0
    """The batch of the rows, if they are of several."""


_SQLITE, _POSTGRES = "treadle (sqlite)", "treadle (postgresql)"
_STATEMENTS = "by hand (psycopg, the same statements"
_LINES = (
    _Work(
        work="SQLite, one caller appends 1 KB",
        table="one-caller",
        figure="per_second",
        by_hand="by hand (the same statements)",
        treadle=_SQLITE,
    ),
    _Work(
        work="SQLite, 64 callers append",
        table="many-callers",
        figure="per_second",
        by_hand="by hand, in batches",
        treadle=_SQLITE,
    ),
    _Work(
        work="SQLite, claim + ack, one worker",
        table="queue",
        figure="one",
        by_hand="by hand (the floor)",
        treadle=_SQLITE,
    ),
    _Work(
        work="SQLite, claim + ack, 64 in flight",
        table="queue",
        figure="many",
        by_hand="by hand, in batches",
        treadle="treadle, one claim for all (sqlite)",
    ),
    _Work(
        work="PostgreSQL, one caller appends 1 KB",
        table="postgres-appends",
        figure="one",
        by_hand=_STATEMENTS,
        treadle=_POSTGRES,
    ),
    _Work(
        work="PostgreSQL, 64 callers append",
        table="postgres-appends",
        figure="many",
        by_hand=_STATEMENTS,
        treadle=_POSTGRES,
    ),
    *(
        _Work(
            work=f"PostgreSQL, {what}, {batch} at a time",
            table="postgres-drain",
            figure="per_second",
            # A claim and a delete: no handler is run beside others, or stopped.
            by_hand=by_hand,
            treadle=treadle,
            batch=batch,
        )
        for what, treadle, by_hand in (
            ("drain", _POSTGRES, "by hand (asyncpg)"),
            ("Worker", f"{_POSTGRES}, Worker", None),
        )
        for batch in (10, 100)
    ),
)
_FILES = {
    "append": "Files, one caller appends 1 KB",
    "append, many callers": "Files, 64 callers append",
    "claim + ack, many": "Files, claim + ack, 64 in flight",
}


def summarize(tables: Iterable[Table], commit: str, machine: str) -> Summary:
    """Take the lines out of the tables of a run."""
    by_name = {table.name: table for table in tables}
    lines = [_line(by_name[wanted.table], wanted) for wanted in _LINES]
    return Summary(commit=commit, machine=machine, lines=(*lines, *_files(by_name["files"])))


def _line(table: Table, wanted: _Work) -> Line:
    rows = [
        row
        for row in table.rows
        if wanted.figure in row.figures
        and row.figures.get("batch", wanted.batch) in (wanted.batch, 1)
    ]

    def best(is_wanted: Wanted) -> Row | None:
        found = [row for row in rows if is_wanted(row)]
        return max(found, key=lambda row: row.figures[wanted.figure], default=None)

    def rate(row: Row | None) -> int | None:
        return None if row is None else round(row.figures[wanted.figure])

    def is_batch(row: Row) -> bool:
        return row.figures.get("batch", wanted.batch) == wanted.batch

    def is_by_hand(row: Row) -> bool:
        return wanted.by_hand is not None and row.who.startswith(wanted.by_hand)

    peer = best(lambda row: row.is_durable_peer)
    return Line(
        work=wanted.work,
        by_hand=rate(best(lambda row: is_by_hand(row) and is_batch(row))),
        treadle=rate(best(lambda row: row.who == wanted.treadle and is_batch(row))),
        peer=rate(peer),
        peer_name=peer.who if peer else "",
    )


def _files(table: Table) -> Iterator[Line]:
    """Yield a line for plain files; their floor is in the row, and they have no peer."""
    for what, work in _FILES.items():
        rows = [row for row in table.rows if row.who == f"treadle (files), {what}" and row.figures]
        shortest = rows[0].figures if rows else None
        yield Line(
            work=work,
            by_hand=round(1e6 / shortest["floor"]) if shortest and what == "append" else None,
            treadle=round(shortest["per_second"]) if shortest else None,
            peer=None,
        )


def markdown(summary: Summary) -> str:
    """Return the summary as a table in Markdown."""
    rows = [
        f"| {line.work} | {shown(line.by_hand)} | {shown(line.treadle)} | {_peer(line)} |"
        for line in summary.lines
    ]
    head = "| a second | by hand | Treadle | best peer |\n|---|---:|---:|---|"
    return "\n".join([head, *rows])


def _peer(line: Line) -> str:
    return f"{shown(line.peer)} ({line.peer_name})" if line.peer_name else shown(line.peer)


def shown(rate: int | None) -> str:
    """Return a rate as people read it."""
    return "-" if rate is None else f"{rate:,.0f}"
