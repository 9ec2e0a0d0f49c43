"""What commands write to standard output: tables and text for people, JSON for programs."""

import shutil
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click
import msgspec

from weft.cli.tables import Column, aligned, separated, shown
from weft.core.codec import Json

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Write one JSON document; times are unix milliseconds."
)

_COLOURS = {
    "done": "green",
    "accepted": "green",
    "running": "yellow",
    "claimed": "yellow",
    "dead_letter": "red",
    "yes": "green",
    "NO": "red",
}


def write_json(value: Json) -> None:
    """One JSON document: indented on a terminal, on one line elsewhere."""
    data = msgspec.json.encode(value)
    if sys.stdout.isatty():
        data = msgspec.json.format(data, indent=2)
    write_bytes(data + b"\n")


def write_bytes(data: bytes) -> None:
    """Bytes as they are, at once."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def write_line(text: str = "", **style: Any) -> None:
    """Text, in a `style` of `click.style` on a terminal; control characters are made visible."""
    click.secho(shown(text), **style)


def write_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """A table: aligned on a terminal, tab-separated elsewhere."""
    if not sys.stdout.isatty():
        write_line("\n".join(separated(columns, rows)))
        return
    width = shutil.get_terminal_size().columns
    titles, *lines = aligned(columns, rows, width)
    click.secho(titles, bold=True)
    for line, row in zip(lines, rows, strict=True):
        click.echo(_coloured(line, row))


def time_text(milliseconds: int | None) -> str:
    """A time of the store, as the clock on the wall has it."""
    if milliseconds is None:
        return ""
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000).astimezone()
    except (OverflowError, OSError, ValueError):
        return f"{milliseconds} ms"
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def counted(number: int, thing: str, things: str | None = None) -> str:
    """`1 thread`, `2 threads`."""
    return f"{number:,} {thing if number == 1 else things or f'{thing}s'}"


def _coloured(line: str, row: Sequence[str]) -> str:
    """The line with its state in colour, if a cell is one."""
    for cell in row:
        colour = _COLOURS.get(cell)
        if colour is not None and f"  {cell}" in line:
            before, _, after = line.rpartition(f"  {cell}")
            return f"{before}  {click.style(cell, fg=colour)}{after}"
    return line
