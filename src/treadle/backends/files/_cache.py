"""The rows of a table, read from their documents when they are needed, and kept in memory."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence, ValuesView
from typing import Any, TypeVar

from treadle.backends.files._decoding import decode_model
from treadle.backends.files._thread_document import (
    Labels,
    Step,
    ThreadDocument,
    advance,
    read_summary,
    read_thread,
)
from treadle.backends.files.documents import Documents, fold
from treadle.backends.model.tables import Put, RowTable, TableName
from treadle.core.codec import Model
from treadle.core.heads import ThreadSummary, summarized
from treadle.core.ids import check_optional_id
from treadle.core.mailboxes import MailboxEntry, MailboxState
from treadle.core.runs import RunRecord
from treadle.core.threads import StoredThread, ThreadHead
from treadle.errors import AlreadyExists, CorruptRecord, InvalidId

RowT = TypeVar("RowT")
_UNREAD: Any = object()


class RowCache(RowTable[RowT]):
    """The rows of one table.

    A batch changes rows here before their documents are written; `mark_written` follows.
    """

    def __init__(
        self,
        documents: Documents,
        table: TableName,
        put: Put[RowT],
        read: Callable[[str, bytes], RowT],
    ) -> None:
        super().__init__(put)
        self._documents = documents
        self._table: TableName = table
        self._read = read
        self._rows: OrderedDict[str, RowT | None] = OrderedDict()
        """The least recently used first. None: removed, though its document may still exist."""
        self._damaged: set[str] = set()
        self._names: set[str] | None = None
        """The ids of all rows, once somebody has asked for them."""
        self._folded: dict[str, str] | None = None
        """Ids as the file system compares them, where it folds case."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return the row, or `default` if there is none."""
        row = self._rows.get(key, _UNREAD)
        if row is _UNREAD:
            row = self._load(key)
        if row is None:
            return default
        self._rows.move_to_end(key)
        return row

    def __getitem__(self, key: str) -> RowT:
        row: RowT | None = self.get(key)
        if row is None:
            raise KeyError(key)
        return row

    def __setitem__(self, key: str, row: RowT) -> None:
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
        return self._documents.exists(self._table, key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._list())

    def __len__(self) -> int:
        return len(self._list())

    def values(self) -> ValuesView[RowT]:
        """Return all rows except those whose documents are damaged."""
        return self._readable(list(self._list())).values()

    def find(self, keys: Iterable[str]) -> ValuesView[RowT]:
        """Return the rows at some ids except those that are missing or damaged."""
        return self._readable(keys).values()

    def unreadable(self) -> Iterable[str]:
        """Return the damaged documents that were left out, as errors name them."""
        return sorted(self._documents.where(self._table, key) for key in self._damaged)

    def note_damage(self, key: str, error: CorruptRecord) -> None:
        """Note that a listing leaves out a document that is damaged."""
        self._documents.damage.note(error)
        self._damaged.add(key)

    def note_repair(self, key: str) -> None:
        """Note that a document can be read."""
        self._damaged.discard(key)

    def _readable(self, keys: Iterable[str]) -> dict[str, RowT]:
        rows: dict[str, RowT] = {}
        for key in keys:
            try:
                row: RowT | None = self.get(key)
            except CorruptRecord as error:
                self.note_damage(key, error)
                continue
            self.note_repair(key)
            if row is not None:
                rows[key] = row
        return rows

    def cached(self, key: str) -> RowT | None:
        """Return the row if it is in memory."""
        return self._rows.get(key)

    def forget(self, key: str, *, present: bool) -> None:
        """Drop a row that another process has written or removed; it is read again when needed."""
        self._damaged.discard(key)
        self._rows.pop(key, None)
        self._note(key, present=present)

    def mark_written(self, key: str) -> None:
        """Note that the document of a row is written, or removed."""
        if self._rows.get(key, _UNREAD) is None:
            del self._rows[key]

    def check_unused(self, key: str) -> None:
        """Check the path of a new row's document, which `get` has not found.

        Raises:
            CorruptRecord: a file or folder is there that was not there when names were listed.
        """
        if key in self._rows or self._names is None:
            # It is removed in memory only, and may still exist; or `get` has just looked for it.
            return
        if self._documents.exists(self._table, key):
            reason = "another program has put it there since the store was opened"
            raise CorruptRecord(self._documents.where(self._table, key), reason)

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

    def _load(self, key: str) -> RowT | None:
        if self._names is not None and key not in self._names:
            return None
        data = self._documents.read(self._table, key)
        if data is None:
            return None
        row = self._rows[key] = self._read(key, data)
        return row

    def _note(self, key: str, *, present: bool) -> None:
        if self._names is not None:
            (self._names.add if present else self._names.discard)(key)
        if self._folded is not None and present:
            self._folded[fold(key)] = key
        elif self._folded is not None:
            self._folded.pop(fold(key), None)

    def _list(self) -> set[str]:
        if self._names is None:
            names = set(self._documents.names(self._table))
            names.update(key for key, row in self._rows.items() if row is not None)
            names.difference_update(key for key, row in self._rows.items() if row is None)
            self._names = names
        return self._names


class ThreadCache(RowCache[StoredThread]):
    """Threads and the bytes of their documents. The least recently used are evicted.

    Args:
        budget: how many bytes of documents are kept.
    """

    def __init__(
        self, documents: Documents, put: Put[StoredThread], budget: int = 64 * 2**20
    ) -> None:
        super().__init__(documents, "threads", put, self._read_thread)
        self._budget = budget
        self._total = 0
        self._sizes: dict[str, int] = {}
        self._encoded: dict[str, ThreadDocument] = {}

    def document(self, key: str, head: ThreadHead) -> ThreadDocument:
        """Return the document of a thread at `head`, which is encoded if it is not in memory."""
        document = self._encoded.get(key)
        if document is None or document.head is not head:
            document = self._encoded[key] = ThreadDocument(head)
        return document

    def advance(self, key: str, steps: Sequence[Step]) -> ThreadDocument:
        """Extend a thread's document by the steps that led to the thread as it is."""
        head = self[key].head
        deltas = [step for step in steps if not isinstance(step, Labels)]
        document = self._encoded.get(key)
        if document is None or document.head.version + len(deltas) != head.version:
            return self.document(key, head)  # its bytes are not in memory, or too old
        document.append(deltas, head)
        return document

    def follow(self, key: str, steps: Sequence[Step]) -> None:
        """Apply the steps that another process has committed, if the thread is in memory."""
        stored = self._rows.get(key)
        if stored is not None:
            self._rows[key] = _written(advance(stored.head, steps))
            if key in self._encoded:
                self._measure(key, self.advance(key, steps).size)

    def forget(self, key: str, *, present: bool) -> None:
        """Drop a thread that another process has written or removed."""
        super().forget(key, present=present)
        self._drop(key)

    def mark_written(self, key: str) -> None:
        """Note that the document of a thread is written, or removed."""
        stored = self._rows.get(key)
        if stored is None:
            self._rows.pop(key, None)
            self._drop(key)
            return
        self._rows[key] = _written(stored.head)  # its delta file has the deltas now
        if key in self._encoded:
            self._measure(key, self._encoded[key].size)

    def evict(self) -> None:
        """Drop the least recently used threads above the budget. Call it between batches only."""
        while self._total > self._budget and len(self._rows) > 1:
            oldest, _ = self._rows.popitem(last=False)
            self._drop(oldest)

    def summary(self, key: str) -> ThreadSummary | None:
        """Return the summary of a thread; one that is not in memory is read without its messages.

        Raises:
            CorruptRecord: its document is damaged.
        """
        row = self._rows.get(key, _UNREAD)
        if row is not _UNREAD:
            return None if row is None else summarized(row.head)
        data = None
        if self._names is None or key in self._names:
            data = self._documents.read("threads", key)
        where = self._documents.where("threads", key)
        return None if data is None else read_summary(key, data, where)

    def _drop(self, key: str) -> None:
        self._encoded.pop(key, None)
        self._total -= self._sizes.pop(key, 0)

    def _measure(self, key: str, size: int) -> None:
        self._total += size - self._sizes.get(key, 0)
        self._sizes[key] = size

    def _read_thread(self, key: str, data: bytes) -> StoredThread:
        head = read_thread(key, data, self._documents.where("threads", key))
        self._measure(key, len(data))
        return _written(head)


def _written(head: ThreadHead) -> StoredThread:
    """The row of a thread whose deltas are in its delta file: they lead to its origin."""
    return StoredThread(head, origin=head)


_IDS: dict[type[Model], str] = {
    RunRecord: "run_id",
    MailboxEntry: "entry_id",
    MailboxState: "mailbox_id",
}
RowModel = TypeVar("RowModel", RunRecord, MailboxEntry, MailboxState)


def row_reader(
    documents: Documents, table: TableName, kind: type[RowModel]
) -> Callable[[str, bytes], RowModel]:
    """Return a function that reads the rows of a table from their documents."""

    def read(key: str, data: bytes) -> RowModel:
        where = documents.where(table, key)
        row = decode_model(kind, data, where)
        found: Any = getattr(row, _IDS[kind])
        if found != key:
            raise CorruptRecord(where, f"it holds {found!r}")
        try:
            check_optional_id("mailbox", getattr(row, "mailbox_id", None))
        except InvalidId as error:
            raise CorruptRecord(where, f"its mailbox_id is no id: {error.reason}") from error
        return row

    return read
