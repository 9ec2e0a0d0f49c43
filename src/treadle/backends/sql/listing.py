"""Listings: which conditions a query asks for, and which page."""

from collections.abc import Sequence
from typing import Any

import msgspec

from treadle.backends.sql.rows import to_json
from treadle.core.limits import LARGEST_TIME
from treadle.core.pages import PageQuery

_FREE_TEXT = ("resource_id", "termination_code")


def conditions_of(
    query: msgspec.Struct, filters: Sequence[str]
) -> tuple[tuple[str, ...], dict[str, object]]:
    """The names of the conditions that `query` has a value for, and the values."""
    values = {name: getattr(query, name) for name in filters if getattr(query, name) is not None}
    return tuple(values), {name: _bound(name, value) for name, value in values.items()}


def _bound(name: str, value: object) -> object:
    return to_json(value) if name in _FREE_TEXT else bounded(value)


def bounded(value: object) -> object:
    """An integer within what a column can hold; nothing in a store lies beyond."""
    return max(-LARGEST_TIME, min(value, LARGEST_TIME)) if isinstance(value, int) else value


def offset_and_limit(query: PageQuery[Any]) -> dict[str, int]:
    """Where a page begins, and how long it is at most."""
    return {"offset": min(query.start, LARGEST_TIME), "limit": query.end - query.start}
