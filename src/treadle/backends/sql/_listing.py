"""Listings: which conditions a query asks for, and which page."""

from typing import Any

import msgspec

from treadle.backends.sql.tables import FREE_TEXT, to_json
from treadle.core.limits import LARGEST_TIME
from treadle.core.pages import PageQuery

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
            values[name] = to_json(value) if name in FREE_TEXT else bounded(value)
    return tuple(values), values


def bounded(value: object) -> object:
    """An integer within what a column can hold; no stored value lies beyond."""
    return max(-LARGEST_TIME, min(value, LARGEST_TIME)) if isinstance(value, int) else value


def offset_and_limit(query: PageQuery[Any]) -> dict[str, int]:
    """Where a page begins, and how long it is at most."""
    return {"offset": min(query.start, LARGEST_TIME), "limit": query.end - query.start}
