"""Tables: what a workload found about each subject, and how it is shown."""

import textwrap
from collections.abc import Iterator

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What was found about one subject."""

    who: str
    durability: str = ""
    figures: dict[str, float] = {}
    """By the key of their column; a column without a figure has nothing to say about it."""
    note: str = ""
    missing: str = ""
    """Why there are no figures: not installed, or what went wrong."""
    failed: bool = False
    """Whether something went wrong."""


class Column(msgspec.Struct, frozen=True):
    """A figure's key, what stands above it, and its format."""

    key: str
    title: str
    style: str = "{:,.0f}"


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One workload: what was done, and what was found."""

    name: str
    work: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def lines(table: Table) -> Iterator[str]:
    """The table as text."""
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
