"""Listings in pages by cursors, as tables or as JSON."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from treadle.cli.terminal.notes import write_note
from treadle.cli.terminal.output import write_json, write_table
from treadle.cli.terminal.tables import Column
from treadle.core.codec import Json
from treadle.core.cursors import CursorPage

T = TypeVar("T")


def write_found(
    page: CursorPage[T],
    columns: Sequence[Column],
    cells: Callable[[T], Sequence[str]],
    *,
    as_json: bool,
    plain: Callable[[T], Json],
) -> None:
    """Write the page as JSON, or as a table with a note on standard error if there is more.

    Notes name what cannot be read, and is missing on the page.
    """
    for name in page.unreadable:
        write_note(f"{name} cannot be read; see `treadle doctor`")
    if as_json:
        items = [plain(item) for item in page.items]
        write_json({"items": items, "next_cursor": page.next_cursor})
        return
    write_table(columns, [cells(item) for item in page.items])
    if page.next_cursor is not None:
        write_note(f"more follow: --after {page.next_cursor} shows the next")
