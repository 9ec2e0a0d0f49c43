"""Programs: generators that yield statements to be sent together, and receive their rows.

A program does no I/O, so any driver can run it, in a thread or on an event loop. Statements that
are yielded together may be sent in one round trip.
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec

from treadle.core.pages import Order

T = TypeVar("T")

Direction: TypeAlias = Literal["ASC", "DESC"]
Row: TypeAlias = tuple[Any, ...]
Values: TypeAlias = Mapping[str, Any]


class Read(msgspec.Struct, frozen=True):
    """A query, by its name; the answer is its rows."""

    name: str
    values: Values
    """A list has ids, numbers, or pairs of texts; the database gets it as JSON."""
    conditions: tuple[str, ...] = ()
    """Names of the conditions that replace `{conditions}`; without any, all rows match."""
    direction: Direction = "ASC"
    """Replaces `{direction}`."""
    sort: tuple[str, ...] = ()
    """The columns that `{sort}` sorts by, in `direction`. The condition `behind` compares them with
    the values `behind_<column>`."""


class Write(msgspec.Struct, frozen=True):
    """A statement, by its name, that is run for each of `rows`; there is no answer."""

    name: str
    rows: Sequence[Values]


Statement: TypeAlias = Read | Write
Program: TypeAlias = Generator[tuple[Statement, ...], list[list[Row]], T]


def direction_of(order: Order) -> Direction:
    """Return the direction of a listing as SQL names it."""
    return "ASC" if order == "asc" else "DESC"


def writes(**rows_of: Sequence[Values]) -> list[Statement]:
    """The statements of these names, in this order; those without rows are left out."""
    return [Write(name, rows) for name, rows in rows_of.items() if rows]


def writes_in(order: Mapping[str, int], rows_of: Mapping[str, Sequence[Values]]) -> list[Statement]:
    """The statements of these names, in another order; none is without rows."""
    return [Write(name, rows_of[name]) for name in sorted(rows_of, key=order.__getitem__)]
