"""Tables: as many columns as fit a terminal, with shortened cells; tab-separated in a pipe."""

from collections.abc import Sequence

import msgspec

from treadle.core.escaping import one_line

_GAP = 2
_NARROWEST = 10


class Column(msgspec.Struct, frozen=True):
    """A column: its title, and how its cells are shown."""

    title: str
    right: bool = False
    """Align cells to the right, for numbers; never shorten them."""
    whole: bool = False
    """Never shorten cells, for times and for ids that users copy."""


def separated(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the table as tab-separated lines, titles first."""
    titles = [column.title for column in columns]
    return ["\t".join(one_line(cell) for cell in row) for row in (titles, *rows)]


def count_fitting(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> int:
    """Return how many columns, from the left, fit into `width` terminal cells."""
    sizes = [
        _least(column, size) for column, size in zip(columns, _natural(columns, rows), strict=True)
    ]
    count = len(columns)
    while count > 1 and sum(sizes[:count]) + _GAP * (count - 1) > width:
        count -= 1
    return count


def aligned(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return the table as lines of at most `width` terminal cells, if it fits, titles first."""
    natural = _natural(columns, rows)
    least = [_least(column, size) for column, size in zip(columns, natural, strict=True)]
    widths = fit_widths(natural, least, width - _GAP * (len(columns) - 1))
    titles = [column.title for column in columns]
    return [_line(columns, list(map(one_line, row)), widths) for row in (titles, *rows)]


def fit_widths(natural: Sequence[int], least: Sequence[int], available: int) -> list[int]:
    """Return the widths of columns: the widest is shortened until all fit, or none may be."""
    widths = list(natural)
    while sum(widths) > available:
        cuttable = [at for at, width in enumerate(widths) if width > least[at]]
        if not cuttable:
            break
        widths[max(cuttable, key=widths.__getitem__)] -= 1
    return widths


def shortened(text: str, width: int) -> str:
    """Return `text` with its middle left out, so that it takes at most `width` terminal cells."""
    if _size(text) <= width:
        return text
    # Ids differ at their beginnings or at their ends, so both are kept.
    head, tail = (width - 1) - (width - 1) // 2, (width - 1) // 2
    return f"{_start(text, head)}…{_start(text[::-1], tail)[::-1]}"


def beginning(text: str, length: int = 60) -> str:
    """Return the first `length` characters of `text` at most."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _natural(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int]:
    """Return the width of each column if no cell is shortened."""
    return [
        max(_size(column.title), *(_size(one_line(row[index])) for row in rows), 0)
        for index, column in enumerate(columns)
    ]


def _least(column: Column, natural: int) -> int:
    """Return the width to which a column may be shortened."""
    if column.right or column.whole:
        return natural
    return min(natural, max(_size(column.title), _NARROWEST))


def _line(columns: Sequence[Column], row: Sequence[str], widths: Sequence[int]) -> str:
    return (" " * _GAP).join(map(_cell, columns, row, widths)).rstrip()


def _cell(column: Column, text: str, width: int) -> str:
    short = shortened(text, width)
    padding = " " * (width - _size(short))
    return padding + short if column.right else short + padding


def _start(text: str, width: int) -> str:
    used = 0
    for index, character in enumerate(text):
        used += _size(character)
        if used > width:
            return text[:index]
    return text


def _size(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
