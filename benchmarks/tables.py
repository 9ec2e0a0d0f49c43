"""Tables: the figures of a workload, a row for each subject."""

import textwrap
from collections.abc import Iterator

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one subject."""

    who: str
    durability: str = ""
    figures: dict[str, float] = {}
    """By the keys of the columns; a figure that does not apply is missing."""
    note: str = ""
    missing: str = ""
    """Why there are no figures: the subject is not installed, or failed."""
    failed: bool = False
    """The subject failed."""

    @property
    def is_durable_peer(self) -> bool:
        """The row is of a peer, and neither a crash nor a power failure loses its work."""
        return (
            not self.who.startswith(("treadle", "by hand"))
            and not self.note.startswith("LOST")
            and not self.durability.endswith("NORMAL")
        )


class Column(msgspec.Struct, frozen=True):
    """The key of a figure, the title of its column, and its format."""

    key: str
    title: str
    style: str = "{:,.0f}"


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One workload: what was done, and the figures."""

    name: str
    work: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    seconds: int = 0
    """How long it took to measure it."""


def lines(table: Table) -> Iterator[str]:
    """Yield the table as lines of text."""
    yield from textwrap.wrap(f"{table.name.upper()}: {table.work}", 100)
    heads = [column.title for column in table.columns]
    cells = [_cells(table, row) for row in table.rows]
    widths = [max(map(len, each)) for each in zip(heads, *cells, strict=True)]
    who = max(len(row.who) for row in table.rows)
    how = max([len("durability"), *(len(row.durability) for row in table.rows)])
    yield _line("", who, _right(heads, widths), "durability", how, "")
    for row, figures in zip(table.rows, cells, strict=True):
        if row.missing:
            yield f"  {row.who:<{who}}  {row.missing}"
        else:
            yield _line(row.who, who, _right(figures, widths), row.durability, how, row.note)


def _cells(table: Table, row: Row) -> list[str]:
    return [
        column.style.format(row.figures[column.key]) if column.key in row.figures else "-"
        for column in table.columns
    ]


def _right(cells: list[str], widths: list[int]) -> str:
    return "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _line(who: str, width: int, figures: str, durability: str, how: int, note: str) -> str:
    return f"  {who:<{width}}  {figures}  {durability:<{how}}  {note}".rstrip()
