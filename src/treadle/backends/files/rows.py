"""The rows of a table, read from their documents when they are wanted, and kept."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, ValuesView
from typing import Any, TypeVar, cast

from treadle.backends.files.documents import Documents, fold
from treadle.backends.files.threads import ThreadDocument, read_thread
from treadle.backends.model.tables import Put, RowTable, TableName
from treadle.core.codec import Model, decode
from treadle.core.mailboxes import MailboxEntry, MailboxState
from treadle.core.runs import RunRecord
from treadle.core.threads import StoredThread
from treadle.errors import AlreadyExists, CorruptRecord

Row = TypeVar("Row")


class Rows(RowTable[Row]):
    """A table's rows by id.

    What a batch puts or takes away is here before it is on disk; `settle` is called when the
    documents have followed.
    """

    def __init__(
        self,
        documents: Documents,
        table: TableName,
        put: Put[Row],
        read: Callable[[str, bytes], Row],
    ) -> None:
        super().__init__(put)
        self._documents = documents
        self._table: TableName = table
        self._read = read
        self._known: OrderedDict[str, Row | None] = OrderedDict()
        self._names: set[str] | None = None
        self._folded: dict[str, str] | None = None

    def __getitem__(self, key: str) -> Row:
        if key in self._known:
            row = self._known[key]
            if row is None:
                raise KeyError(key)
            return row
        data = None if self._is_absent(key) else self._documents.read(self._table, key)
        if data is None:
            raise KeyError(key)
        row = self._known[key] = self._read(key, data)
        return row

    def __setitem__(self, key: str, row: Row) -> None:
        self._note(key, present=True)
        self._known[key] = row

    def __delitem__(self, key: str) -> None:
        self._note(key, present=False)
        self._known[key] = None

    def __contains__(self, key: object) -> bool:
        if key in self._known:
            return self._known[cast("str", key)] is not None
        return not self._is_absent(cast("str", key)) and self._documents.exists(
            self._table, cast("str", key)
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._list())

    def __len__(self) -> int:
        return len(self._list())

    def values(self) -> ValuesView[Row]:
        """All rows that can be read; those that cannot hurt only themselves."""
        rows: dict[str, Row] = {}
        for key in list(self._list()):
            try:
                rows[key] = self[key]
            except (CorruptRecord, KeyError):
                continue
        return rows.values()

    def known(self, key: str) -> Row | None:
        """The row, if it is in memory."""
        return self._known.get(key)

    def forget(self, key: str, *, present: bool) -> None:
        """Another process has changed the row: read it again when it is wanted."""
        self._known.pop(key, None)
        self._note(key, present=present)

    def settle(self, keys: list[str]) -> None:
        """The documents of `keys` are in place, or gone."""
        for key in keys:
            if self._known.get(key, ...) is None:
                del self._known[key]

    def check_place(self, key: str) -> None:
        """See that nothing stands in the place of a document that is to be made.

        Raises:
            CorruptRecord: a folder does, or what another program has put there meanwhile.
        """
        if key not in self._known and self._documents.exists(self._table, key):
            reason = "something else stands there, which was no document when the store was opened"
            raise CorruptRecord(self._documents.where(self._table, key), reason)

    def check_free(self, key: str) -> None:
        """Refuse a new id that the file system would take for another one's.

        Raises:
            AlreadyExists: an id that differs only in letter case is taken.
        """
        if self._folded is None:
            self._folded = {fold(name): name for name in self._list()}
        taken = self._folded.get(fold(key))
        if taken is not None and taken != key:
            advice = f"this file system cannot tell it from {taken!r}; use an id that differs more"
            raise AlreadyExists(self._table, key, advice)

    def _note(self, key: str, *, present: bool) -> None:
        if self._names is not None:
            (self._names.add if present else self._names.discard)(key)
        if self._folded is not None and present:
            self._folded[fold(key)] = key
        elif self._folded is not None:
            self._folded.pop(fold(key), None)

    def _is_absent(self, key: str) -> bool:
        return self._names is not None and key not in self._names

    def _list(self) -> set[str]:
        if self._names is None:
            names = set(self._documents.names(self._table))
            names.update(key for key, row in self._known.items() if row is not None)
            names.difference_update(key for key, row in self._known.items() if row is None)
            self._names = names
        return self._names


class ThreadRows(Rows[StoredThread]):
    """Threads, the bytes of their documents with them; those long unused are let go."""

    def __init__(
        self, documents: Documents, put: Put[StoredThread], budget: int = 64 * 2**20
    ) -> None:
        super().__init__(documents, "threads", put, self._read_thread)
        self._budget = budget
        self._sizes: dict[str, int] = {}
        self._total = 0
        self._kept: dict[str, ThreadDocument] = {}

    def __getitem__(self, key: str) -> StoredThread:
        row = super().__getitem__(key)
        self._known.move_to_end(key)
        return row

    def document(self, key: str, stored: StoredThread) -> ThreadDocument:
        """The document of a thread as it is now."""
        document = self._kept.get(key)
        if document is None:
            document = self._kept[key] = ThreadDocument(stored.head)
        elif document.head is not stored.head:
            document.follow(stored.head)
        return document

    def forget(self, key: str, *, present: bool) -> None:
        """Another process has changed the thread."""
        super().forget(key, present=present)
        self._drop(key)

    def settle(self, keys: list[str]) -> None:
        """The documents are in place: deltas need not be kept."""
        super().settle(keys)
        for key in keys:
            stored = self._known.get(key)
            if stored is None:
                self._drop(key)
                continue
            if stored.history is not None:
                self._known[key] = StoredThread(stored.head)
            if key in self._kept:
                self._measure(key, self._kept[key].size)

    def let_go(self) -> None:
        """Forget threads long unused, as many as are too many; between groups, not in a batch."""
        while self._total > self._budget and len(self._known) > 1:
            oldest, _ = self._known.popitem(last=False)
            self._drop(oldest)

    def _drop(self, key: str) -> None:
        self._kept.pop(key, None)
        self._total -= self._sizes.pop(key, 0)

    def _measure(self, key: str, size: int) -> None:
        self._total += size - self._sizes.get(key, 0)
        self._sizes[key] = size

    def _read_thread(self, key: str, data: bytes) -> StoredThread:
        head = read_thread(key, data, self._documents.where("threads", key))
        self._measure(key, len(data))
        return StoredThread(head)


_IDS: dict[type[Model], str] = {
    RunRecord: "run_id",
    MailboxEntry: "entry_id",
    MailboxState: "mailbox_id",
}
RowModel = TypeVar("RowModel", RunRecord, MailboxEntry, MailboxState)


def read_row(
    documents: Documents, table: TableName, kind: type[RowModel]
) -> Callable[[str, bytes], RowModel]:
    """What reads the documents of a table of `kind`."""

    def read(key: str, data: bytes) -> RowModel:
        where = documents.where(table, key)
        try:
            row = decode(kind, data)
        except CorruptRecord as error:
            raise CorruptRecord(where, error.reason) from error
        found: Any = getattr(row, _IDS[kind])
        if found != key:
            raise CorruptRecord(where, f"it holds {found!r}")
        return row

    return read
