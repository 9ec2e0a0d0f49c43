"""The loaded rows of a table. Only what was asked for is known."""

from collections.abc import Iterable
from typing import Any, NoReturn, TypeVar

from treadle.backends.model.tables import MemoryTable, Put, TableName
from treadle.errors import CorruptRecord

RowT = TypeVar("RowT")


class NotLoaded(AssertionError):
    """A command asked for rows that its `touches` did not name."""

    def __init__(self, rows: str) -> None:
        super().__init__(f"not in the read set: {rows}; `touches` of a command is incomplete")


class LoadedRows(MemoryTable[RowT]):
    """The loaded rows of a table, by id. Only ids that were asked for can be looked up."""

    def __init__(self, put: Put[RowT], table: TableName, asked: Iterable[str]) -> None:
        # A commit creates four of these, so the base classes' `__init__` is spared.
        self.put = put
        self._rows: dict[str, RowT] = {}
        self._table = table
        self.asked = set(asked)
        self.damaged: dict[str, CorruptRecord] = {}
        """Why the rows that cannot be read are damaged, by id."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return the row, or `default` if the database has none.

        Raises:
            NotLoaded: the row was not loaded.
            CorruptRecord: it is damaged.
        """
        row = dict.get(self, key)
        if row is not None and not self.damaged:
            return row
        if key not in self.asked:
            raise NotLoaded(f"{self._table} {key!r}")
        if key in self.damaged:
            error = self.damaged[key]  # a new one for each command, which adds its name
            raise CorruptRecord(error.where, error.reason) from error
        return default if row is None else row

    def __contains__(self, key: object) -> bool:
        return key in self.damaged or self.get(str(key)) is not None

    def __getitem__(self, key: str) -> RowT:
        row: RowT | None = self.get(key)
        if row is None:
            raise KeyError(key)
        return row

    def _refuse_all(self) -> NoReturn:
        raise NotLoaded(f"all {self._table}")

    __iter__ = __len__ = keys = values = items = _refuse_all

    def is_loaded(self, key: str) -> bool:
        """Return whether there is a row in memory."""
        return dict.__contains__(self, key)

    def loaded(self) -> Iterable[RowT]:
        """The rows in memory."""
        return tuple(dict.values(self))
