"""Programs: generators that yield statements to be sent together, and are sent their rows.

A program does no I/O, so the same one works whichever driver carries it out, in a thread or on an
event loop. What it yields at once may go to the server at once.
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec

T = TypeVar("T")

Direction: TypeAlias = Literal["ASC", "DESC"]
Row: TypeAlias = tuple[Any, ...]
Values: TypeAlias = Mapping[str, Any]


class Read(msgspec.Struct, frozen=True):
    """A query, by the name of its text; its answer is its rows."""

    name: str
    values: Values
    conditions: tuple[str, ...] = ()
    """Names of conditions that take the place of `{conditions}`; none is all rows."""
    direction: Direction = "ASC"
    """Takes the place of `{direction}`."""


class Write(msgspec.Struct, frozen=True):
    """A statement, by the name of its text, carried out for each of `rows`; no answer."""

    name: str
    rows: Sequence[Values]


Statement: TypeAlias = Read | Write
Program: TypeAlias = Generator[tuple[Statement, ...], list[list[Row]], T]


def writes(**rows_of: Sequence[Values]) -> list[Statement]:
    """The statements of these names, in this order; those without rows are left out."""
    return [Write(name, rows) for name, rows in rows_of.items() if rows]
