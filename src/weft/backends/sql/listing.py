"""Listings: which conditions a query asks for, and which page."""

from collections.abc import Sequence

import msgspec

from weft.core.limits import LARGEST_TIME, clamp_page


def conditions_of(
    query: msgspec.Struct, filters: Sequence[str]
) -> tuple[tuple[str, ...], dict[str, object]]:
    """The names of the conditions that `query` has a value for, and the values."""
    values = {name: getattr(query, name) for name in filters if getattr(query, name) is not None}
    return tuple(values), {name: bounded(value) for name, value in values.items()}


def bounded(value: object) -> object:
    """An integer within what a column can hold; nothing in a store lies beyond."""
    return max(-LARGEST_TIME, min(value, LARGEST_TIME)) if isinstance(value, int) else value


def offset_and_limit(offset: int, limit: int) -> dict[str, int]:
    """Where a page begins, and how long it is at most."""
    return {"offset": max(0, min(offset, LARGEST_TIME)), "limit": clamp_page(limit)}
