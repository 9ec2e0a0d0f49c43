"""Tables of rows, by id: the part of a store that commands and queries see."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

RowT = TypeVar("RowT")


class Table(Protocol[RowT]):
    """The rows of one kind, by id. Rows are frozen: a change puts another row in its place."""

    def get(self, key: str, /) -> RowT | None:
        """Return the row, or None if there is none."""
        ...

    def put(self, key: str, row: RowT, /) -> None:
        """Insert or replace the row."""
        ...

    def remove(self, key: str, /) -> None:
        """Remove the row, if there is one."""
        ...

    def __contains__(self, key: object, /) -> bool:
        """Return whether there is a row."""
        ...

    def keys(self) -> Iterable[str]:
        """All ids, in no order."""
        ...

    def values(self) -> Iterable[RowT]:
        """All rows, in no order; those that cannot be read are left out."""
        ...

    def unreadable(self) -> Iterable[str]:
        """The rows that cannot be read, as far as they are known: all of them after `values`."""
        ...

    def find(self, keys: Iterable[str], /) -> Iterable[RowT]:
        """The rows at some ids, in that order; ids without one that can be read are left out."""
        ...
