"""The rows of a table, read from their JSON files when they are needed, and kept in memory."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, ValuesView
from typing import Any, TypeVar

from treadle.backends.files._decoding import decode_model
from treadle.backends.files.json_files import JsonFiles, fold
from treadle.backends.model.tables import Put, RowTable, TableName
from treadle.core.codec import Model
from treadle.core.ids import check_optional_id
from treadle.core.mailboxes import MailboxEntry, MailboxState
from treadle.core.runs import RunRecord
from treadle.errors import AlreadyExists, CorruptRecord, InvalidId

RowT = TypeVar("RowT")
_UNREAD: Any = object()


class RowCache(RowTable[RowT]):
    """The rows of one table.

    A batch changes rows here before their JSON files are written; `mark_written` follows.

    Args:
        files: the JSON files of the store.
        table: which of them these are.
        put: puts a row into the table.
        read: returns a row from its id and its JSON file.
        limit: how many rows are kept in memory.
    """

    def __init__(
        self,
        files: JsonFiles,
        table: TableName,
        put: Put[RowT],
        read: Callable[[str, bytes], RowT],
        limit: int,
    ) -> None:
        super().__init__(put)
        self._limit = limit
        self._files = files
        self._table: TableName = table
        self._read = read
        self._rows: OrderedDict[str, RowT | None] = OrderedDict()
        """The least recently used first. None: removed, though its JSON file may still exist."""
        self._damaged: set[str] = set()
        self.repairs = 0
        """How often a row that was damaged could be read after all."""
        self._names: set[str] | None = None
        """The ids of all rows, once somebody has asked for them."""
        self._folded: dict[str, str] | None = None
        """Ids as the file system compares them, where it folds case."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return the row, or `default` if there is none."""
        row = self._rows.get(key, _UNREAD)
        if row is _UNREAD:
            row = self._load(key)
        elif row is not None:
            self._rows.move_to_end(key)
        return default if row is None else row

    def __getitem__(self, key: str) -> RowT:
        row: RowT | None = self.get(key)
        if row is None:
            raise KeyError(key)
        return row

    def __setitem__(self, key: str, row: RowT) -> None:
        if self._names is not None or self._folded is not None:
            self._note(key, present=True)
        self._rows[key] = row

    def __delitem__(self, key: str) -> None:
        self._note(key, present=False)
        self._rows[key] = None

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        row = self._rows.get(key, _UNREAD)
        if row is not _UNREAD:
            return row is not None
        if self._names is not None:
            return key in self._names
        return self._files.exists(self._table, key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._list())

    def __len__(self) -> int:
        return len(self._list())

    def values(self) -> ValuesView[RowT]:
        """Return all rows except those whose JSON files are damaged."""
        return _ReadableRows(self)

    def readable(self) -> Iterator[RowT]:
        """Yield all rows except those whose JSON files are damaged; few are kept in memory."""
        for key in list(self._list()):
            row = self._read_or_note(key, self._look)
            if row is not None:
                yield row

    def find(self, keys: Iterable[str]) -> ValuesView[RowT]:
        """Return the rows at some ids except those that are missing or damaged."""
        found = ((key, self._read_or_note(key, self.get)) for key in keys)
        return {key: row for key, row in found if row is not None}.values()

    def unreadable(self) -> Iterable[str]:
        """Return the damaged JSON files that were left out, as errors name them."""
        return sorted(self._files.where(self._table, key) for key in self._damaged)

    def note_damage(self, key: str, error: CorruptRecord) -> None:
        """Note that a listing leaves out a JSON file that is damaged."""
        self._files.damage.note(error)
        self._damaged.add(key)

    def note_repair(self, key: str) -> None:
        """Note that a JSON file can be read."""
        if key in self._damaged:
            self._damaged.discard(key)
            self.repairs += 1

    def retry_damaged(self) -> None:
        """Look again at the rows that were damaged: somebody may have repaired one."""
        for key in tuple(self._damaged):
            self._read_or_note(key, self._look)

    def _read_or_note(self, key: str, read: Callable[[str], RowT | None]) -> RowT | None:
        try:
            row = read(key)
        except CorruptRecord as error:
            self.note_damage(key, error)
            return None
        self.note_repair(key)
        return row

    def cached(self, key: str) -> RowT | None:
        """Return the row if it is in memory."""
        return self._rows.get(key)

    def forget(self, key: str, *, present: bool) -> None:
        """Drop a row that another process has written or removed; it is read again when needed."""
        self._damaged.discard(key)
        self._rows.pop(key, None)
        self._note(key, present=present)

    def mark_written(self, key: str) -> None:
        """Note that the JSON file of a row is written, or removed."""
        if self._rows.get(key, _UNREAD) is None:
            del self._rows[key]

    def check_unused(self, key: str) -> None:
        """Check the path of a new row's JSON file, which `get` has not found.

        Raises:
            CorruptRecord: a file or folder is there that was not there when names were listed.
        """
        if key in self._rows or self._names is None:
            # It is removed in memory only, and may still exist; or `get` has just looked for it.
            return
        if self._files.exists(self._table, key):
            reason = "another program has put it there since the store was opened"
            raise CorruptRecord(self._files.where(self._table, key), reason)

    def check_distinct(self, key: str) -> None:
        """Check that the file system can distinguish a new id from all others.

        Raises:
            AlreadyExists: an id exists that differs only in case or in its Unicode form.
        """
        if self._folded is None:
            self._folded = {fold(name): name for name in self._list()}
        taken = self._folded.get(fold(key))
        if taken is not None and taken != key:
            advice = f"this file system cannot tell it from {taken!r}; use an id that differs more"
            raise AlreadyExists(self._table, key, advice)

    def evict(self) -> None:
        """Drop the least recently used rows above the limit. Call it between batches only."""
        while len(self._rows) > self._limit:
            self._rows.popitem(last=False)

    def _look(self, key: str) -> RowT | None:
        """Return the row, which a listing wants: it stays in memory only if there is room."""
        if key in self._rows:
            return self._rows[key]
        return self._load(key) if len(self._rows) < self._limit else self._fetch(key)

    def _load(self, key: str) -> RowT | None:
        row = self._fetch(key)
        if row is not None:
            self._rows[key] = row
        return row

    def _fetch(self, key: str) -> RowT | None:
        """Return the row that a JSON file has, or None."""
        if self._names is not None and key not in self._names:
            return None
        data = self._files.read(self._table, key)
        if data is None:
            return None
        return self._read(key, data)

    def _note(self, key: str, *, present: bool) -> None:
        if self._names is not None:
            (self._names.add if present else self._names.discard)(key)
        if self._folded is not None and present:
            self._folded[fold(key)] = key
        elif self._folded is not None:
            self._folded.pop(fold(key), None)

    def _list(self) -> set[str]:
        if self._names is None:
            names = set(self._files.names(self._table))
            names.update(key for key, row in self._rows.items() if row is not None)
            names.difference_update(key for key, row in self._rows.items() if row is None)
            self._names = names
        return self._names


class _ReadableRows(ValuesView[RowT]):
    """The rows whose JSON files are not damaged, each read when it is its turn."""

    def __init__(self, rows: RowCache[RowT]) -> None:
        super().__init__(rows)
        self._cache = rows

    def __iter__(self) -> Iterator[RowT]:
        return self._cache.readable()


_IDS: dict[type[Model], str] = {
    RunRecord: "run_id",
    MailboxEntry: "entry_id",
    MailboxState: "mailbox_id",
}
RowModel = TypeVar("RowModel", RunRecord, MailboxEntry, MailboxState)


def row_reader(
    files: JsonFiles, table: TableName, kind: type[RowModel]
) -> Callable[[str, bytes], RowModel]:
    """Return a function that reads the rows of a table from their files."""

    def read(key: str, data: bytes) -> RowModel:
        where = files.where(table, key)
        row = decode_model(kind, data, where)
        found: Any = getattr(row, _IDS[kind])
        if found != key:
            raise CorruptRecord(where, f"it holds {found!r}")
        try:
            check_optional_id("mailbox", getattr(row, "mailbox_id", None))
        except InvalidId as error:
            raise CorruptRecord(where, f"its mailbox_id is not an id: {error.reason}") from error
        return row

    return read
