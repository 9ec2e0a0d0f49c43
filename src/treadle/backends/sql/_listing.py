"""Listings: which conditions a query asks for, and which page."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from treadle.backends._damage import DamageLog
from treadle.backends.sql.program import Program, Read, Row
from treadle.backends.sql.rows import ReadRow, readable
from treadle.backends.sql.tables import FREE_TEXT, to_json
from treadle.core.cursors import CursorPage, Position, cursor_page
from treadle.core.limits import PAGE, clamp_page
from treadle.core.pages import Page, PageQuery, page_with
from treadle.errors import CorruptRecord

ItemT = TypeVar("ItemT")
PageT = TypeVar("PageT", bound=Page[Any])
CursorPageT = TypeVar("CursorPageT", bound=CursorPage[Any])
Placed: TypeAlias = tuple[Position[Any], ItemT]
"""An item of a listing, and its position."""
Place: TypeAlias = Callable[[Row], Placed[ItemT] | None]
"""Reads a row; None if it does not match. A damaged one raises `CorruptRecord`."""

_NO_FILTERS = frozenset((*PageQuery.__struct_fields__, "order"))


def conditions_of(
    query: msgspec.Struct, *, beside: str = ""
) -> tuple[tuple[str, ...], dict[str, object]]:
    """The names of the conditions that `query` has a value for, and the values.

    Args:
        query: each of its fields is a condition, except those that say which page.
        beside: a field that the statement uses in another way.
    """
    values: dict[str, object] = {}
    for name in query.__struct_fields__:
        value = getattr(query, name)
        if value is not None and name not in _NO_FILTERS and name != beside:
            values[name] = to_json(value) if name in FREE_TEXT else value
    return tuple(values), values


def without_none(filters: Mapping[str, object]) -> dict[str, object]:
    """The filters that have a value."""
    return {name: value for name, value in filters.items() if value is not None}


def page_of_rows(
    kind: type[PageT],
    read: ReadRow[Any],
    rows: Iterable[Row],
    total: int,
    query: PageQuery[PageT],
    damage: DamageLog,
) -> PageT:
    """The page of the rows that can be read; `damage` notes the others."""
    unreadable: list[str] = []
    items = readable(read, rows, damage, unreadable)
    return page_with(kind, items, total, query, unreadable)


def offset_and_limit(query: PageQuery[Any]) -> dict[str, int]:
    """Where a page begins, and how long it is at most."""
    return {"offset": query.start, "limit": query.end - query.start}


def behind(sort: Sequence[str], place: Sequence[object]) -> dict[str, object]:
    """The values of the condition `behind`: where a page of a listing in this order begins."""
    return {f"behind_{column}": value for column, value in zip(sort, place, strict=True)}


class _Range(Generic[ItemT]):
    """One range of a listing: it is read until it has enough items that can be read, or ends."""

    def __init__(self, read: Read, place: Place[ItemT], size: int) -> None:
        self._read = read
        self._place = place
        self._size = size
        self._offset = 0
        self._limit = size + 1
        self.items: list[Placed[ItemT]] = []
        self.more = False
        """True if a row follows the items that can be read and matches."""
        self.is_done = False

    def next_read(self) -> Read:
        """The rows that follow those that were read, in the same snapshot."""
        values = {**self._read.values, "limit": self._limit, "offset": self._offset}
        return msgspec.structs.replace(self._read, values=values)

    def add(self, rows: Sequence[Row], damage: DamageLog, unreadable: list[str]) -> None:
        """Add the rows of a read; `damage` and `unreadable` note those that cannot be read."""
        self.is_done = len(rows) < self._limit
        self._offset += len(rows)
        self._limit = PAGE  # a row was left out: look at more of them at a time
        for row in rows:
            try:
                placed = self._place(row)
            except CorruptRecord as error:
                damage.note(error)
                unreadable.append(error.where)
                continue
            if placed is None:
                continue
            if len(self.items) == self._size:
                self.more = self.is_done = True
                return
            self.items.append(placed)


def read_cursor_page(
    kind: type[CursorPageT],
    reads: Iterable[Read],
    place: Place[ItemT],
    limit: int,
    damage: DamageLog,
) -> Program[CursorPageT]:
    """The page at the beginning of some ranges, which are merged.

    Rows that cannot be read are left out, and the next ones are read instead: a page with a cursor
    is full, so that no listing ends before its last item.

    Args:
        kind: the kind of page.
        reads: one for each range, in one direction; their texts have `:limit` and `:offset`.
        place: reads a row.
        limit: how many items at most; it is clamped.
        damage: notes the rows that cannot be read.
    """
    size = clamp_page(limit)
    ranges = [_Range(read, place, size) for read in reads]
    unreadable: list[str] = []
    while open_ranges := [each for each in ranges if not each.is_done]:
        answers = yield tuple(each.next_read() for each in open_ranges)
        for each, rows in zip(open_ranges, answers, strict=True):
            each.add(rows, damage, unreadable)
    items = [item for each in ranges for item in each.items]
    if len(ranges) > 1:
        descending = ranges[0].next_read().direction == "DESC"
        items.sort(key=lambda item: item[0].order, reverse=descending)
    more = len(items) > size or any(each.more for each in ranges)
    return cursor_page(kind, items[:size], unreadable, more=more)
