"""Listings: which conditions a query asks for, and which page."""

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from treadle.backends._damage import DamageLog
from treadle.backends.sql.program import Row
from treadle.backends.sql.rows import ReadRow, readable
from treadle.backends.sql.tables import FREE_TEXT, to_json
from treadle.core.pages import Page, PageQuery, page_with

PageT = TypeVar("PageT", bound=Page[Any])

_NO_FILTERS = frozenset((*PageQuery.__struct_fields__, "order"))


def conditions_of(
    query: msgspec.Struct, *, beside: str = ""
) -> tuple[tuple[str, ...], dict[str, object]]:
    """The names of the conditions that `query` has a value for, and the values.

    Args:
        query: each of its fields is a condition, but for those that say which page.
        beside: a field that the statement uses in another way.
    """
    values: dict[str, object] = {}
    for name in query.__struct_fields__:
        value = getattr(query, name)
        if value is not None and name not in _NO_FILTERS and name != beside:
            values[name] = to_json(value) if name in FREE_TEXT else value
    return tuple(values), values


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
