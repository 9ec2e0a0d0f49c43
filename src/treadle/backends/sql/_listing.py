"""Listings: which conditions a query asks for, and which page."""

from typing import Any

import msgspec

from treadle.backends.sql.tables import FREE_TEXT, to_json
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
            values[name] = to_json(value) if name in FREE_TEXT else value
    return tuple(values), values


def offset_and_limit(query: PageQuery[Any]) -> dict[str, int]:
    """Where a page begins, and how long it is at most."""
    return {"offset": query.start, "limit": query.end - query.start}
