"""Standard output of commands: text, tables, records and JSON."""

import shutil
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click
import msgspec

from treadle.cli.terminal.standard_files import writing_output
from treadle.cli.terminal.tables import Column, aligned, count_fitting, separated
from treadle.core.codec import Json
from treadle.core.escaping import harmless_json, one_line, printable

_COLOURS = {
    "done": "green",
    "accepted": "green",
    "running": "yellow",
    "claimed": "yellow",
    "dead_letter": "red",
    "yes": "green",
    "NO": "red",
}

_TIMES = frozenset(
    {
        "available_at",
        "created_at",
        "expires_at",
        "lease_until",
        "paused_at",
        "paused_until",
        "updated_at",
    }
)


def write_json(value: Json) -> None:
    """Write one JSON document: indented on a terminal, on one line elsewhere."""
    data = msgspec.json.encode(value)
    if sys.stdout.isatty():
        data = msgspec.json.format(data, indent=2)
    write_bytes(harmless_json(data) + b"\n")


def write_bytes(data: bytes) -> None:
    """Write bytes unchanged, and flush them."""
    with writing_output():
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def write_line(text: str = "", **style: Any) -> None:
    """Write text, on a terminal in a `style` of `click.style`; control characters are escaped."""
    _write(click.style(printable(text), **style))


def write_piece(text: str) -> None:
    """Write a part of a line, which others may follow, with its line breaks as spaces."""
    with writing_output():
        click.echo(one_line(text), nl=False)


def write_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Write a table: aligned on a terminal, as far as it fits; tab-separated elsewhere."""
    if not sys.stdout.isatty():
        write_line("\n".join(separated(columns, rows)))
        return
    width = shutil.get_terminal_size().columns
    count = count_fitting(columns, rows, width)
    titles, *lines = aligned(columns[:count], [row[:count] for row in rows], width)
    _write(click.style(titles, bold=True))
    for line, row in zip(lines, rows, strict=True):
        _write(_coloured(line, row[:count]))
    if left_out := ", ".join(column.title for column in columns[count:]):
        write_line(f"(no room for: {left_out}; --json has it)", dim=True)


def write_fields(fields: dict[str, Json]) -> None:
    """Write a record as lines of `name  value`."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        title = click.style(f"{one_line(name):<{width}}", bold=True)
        _write(f"{title}  {printable(_field_text(value, is_time=name in _TIMES))}")


def time_text(milliseconds: int | None) -> str:
    """Return a time of the store as local date and time."""
    if milliseconds is None:
        return ""
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000).astimezone()
    except (OverflowError, OSError, ValueError):
        return f"{milliseconds} ms"
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _write(line: str) -> None:
    with writing_output():
        click.echo(line)


def _coloured(line: str, row: Sequence[str]) -> str:
    """Return the line of a row, with its status in colour if a cell is one."""
    for cell in row:
        colour = _COLOURS.get(cell)
        if colour is not None and f"  {cell}" in line:
            before, _, after = line.rpartition(f"  {cell}")
            return f"{before}  {click.style(cell, fg=colour)}{after}"
    return line


def _field_text(value: Json, *, is_time: bool) -> str:
    if is_time and isinstance(value, int):
        return time_text(value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
