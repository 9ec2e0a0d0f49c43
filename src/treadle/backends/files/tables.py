"""The model's tables over documents, with an index where the model looks at every row."""

from collections.abc import Iterable
from typing import Any, cast

import msgspec

from treadle.backends.files.deltas import Deltas
from treadle.backends.files.documents import Documents
from treadle.backends.files.index import MailboxIndex
from treadle.backends.files.rows import Rows, ThreadRows, read_row
from treadle.backends.files.threads import Labels
from treadle.backends.model.tables import Row, TableName, Tables
from treadle.core.claims import ClaimRequest
from treadle.core.mailboxes import TERMINAL, EntryStatus, MailboxEntry, MailboxState
from treadle.core.runs import RunRecord
from treadle.core.threads import ThreadDelta
from treadle.errors import CorruptRecord


class FileTables(Tables):
    """Rows come from documents when they are wanted; the index is built at the first claim."""

    threads: ThreadRows
    runs: Rows[RunRecord]
    entries: Rows[MailboxEntry]
    mailboxes: Rows[MailboxState]

    def __init__(self, documents: Documents, deltas: Deltas) -> None:
        super().__init__()
        self._documents = documents
        self._deltas = deltas
        self._folds_case = documents.folds_case()
        self.threads = ThreadRows(  # pyright: ignore[reportIncompatibleVariableOverride]
            documents, self.put_in("threads")
        )
        self.runs = Rows(  # pyright: ignore[reportIncompatibleVariableOverride]
            documents, "runs", self.put_in("runs"), read_row(documents, "runs", RunRecord)
        )
        self.entries = Rows(  # pyright: ignore[reportIncompatibleVariableOverride]
            documents,
            "entries",
            self.put_in("entries"),
            read_row(documents, "entries", MailboxEntry),
        )
        self.mailboxes = Rows(  # pyright: ignore[reportIncompatibleVariableOverride]
            documents,
            "mailboxes",
            self.put_in("mailboxes"),
            read_row(documents, "mailboxes", MailboxState),
        )
        self._index: MailboxIndex | None = None
        self._labels: dict[str, Labels] = {}

    def put(self, table: TableName, key: str, row: Row | None) -> None:
        """Let `row` stand at `key`, if the file system can tell the two apart."""
        rows = self.rows(table)
        if row is not None and key not in rows:
            rows.check_place(key)
            if self._folds_case:
                rows.check_free(key)
        super().put(table, key, row)

    def replace(self, table: TableName, key: str, before: Row | None, after: Row | None) -> None:
        """Carry out a change, and tell the index."""
        super().replace(table, key, before, after)
        if table == "threads":
            self._labels.pop(key, None)
        elif table == "entries" and self._index is not None:
            self._index.replace(
                cast("MailboxEntry | None", before), cast("MailboxEntry | None", after)
            )

    def observe(self, table: TableName, key: str, row: Row | None) -> None:
        """Another process has put `row` at `key`; its document is in place."""
        rows = self.rows(table)
        if table == "entries" and self._index is not None:
            self.replace(table, key, rows.known(key), row)
        else:
            rows.forget(key, present=row is not None)
            self._labels.pop(key, None)

    def settle(self, keys: Iterable[tuple[TableName, str]]) -> None:
        """The documents of `keys` are in place."""
        by_table: dict[TableName, list[str]] = {}
        for table, key in keys:
            by_table.setdefault(table, []).append(key)
        for table, names in by_table.items():
            self.rows(table).settle(names)

    def rows(self, table: TableName) -> Rows[Any]:
        """The rows of a table."""
        return cast("Rows[Any]", super().rows(table))

    def find_thread_ids(self, resource_id: str | None, parent_thread_id: str | None) -> list[str]:
        """The ids of the threads with these labels; None is any."""
        if resource_id is None and parent_thread_id is None:
            return list(self.threads)
        return [
            key
            for key in list(self.threads)
            if (labels := self._find_labels(key)) is not None
            and resource_id in (None, labels.resource_id)
            and parent_thread_id in (None, labels.parent_thread_id)
        ]

    def find_deltas(self, thread_id: str, after_version: int) -> tuple[ThreadDelta, ...] | None:
        """The deltas of a thread since `after_version`; None if they are not known any more."""
        return self._deltas.since(self.threads[thread_id].head, after_version)

    def find_duplicate(self, mailbox_id: str, dedupe_key: str) -> MailboxEntry | None:
        """The entry through which the mailbox has seen `dedupe_key`."""
        entry_id = self._indexed().find_duplicate(mailbox_id, dedupe_key)
        return None if entry_id is None else self.entries[entry_id]

    def find_entries(
        self, mailbox_id: str | None, statuses: Iterable[EntryStatus]
    ) -> list[MailboxEntry]:
        """The entries of a mailbox, or of all, in one of the statuses."""
        if mailbox_id is None or not TERMINAL.isdisjoint(statuses):
            self._indexed()  # all entries are in memory then
            return super().find_entries(mailbox_id, statuses)
        entries = map(self.entries.__getitem__, self._indexed().unfinished(mailbox_id))
        return [entry for entry in entries if entry.status in statuses]

    def find_claimable(self, request: ClaimRequest, now: int) -> Iterable[MailboxEntry]:
        """The entries that a claim gets, best first."""
        if request.entry_id is not None:
            return super().find_claimable(request, now)
        return self._indexed().choose(request, now)

    def find_claimed(self, mailbox_id: str) -> Iterable[MailboxEntry]:
        """The entries of a mailbox that are claimed."""
        return self._indexed().claimed(mailbox_id)

    def next_due(self, now: int, mailbox_id: str | None) -> int | None:
        """When something may become claimable."""
        return self._indexed().next_due(now, mailbox_id)

    def _indexed(self) -> MailboxIndex:
        if self._index is None:
            self._index = MailboxIndex(self.entries)
        return self._index

    def _find_labels(self, key: str) -> Labels | None:
        labels = self._labels.get(key)
        if labels is None:
            labels = self._read_labels(key)
            if labels is not None:
                self._labels[key] = labels
        return labels

    def _read_labels(self, key: str) -> Labels | None:
        stored = self.threads.known(key)
        if stored is not None:
            thread = stored.head.thread
            return Labels(thread.resource_id, thread.parent_thread_id)
        try:
            data = self._documents.read("threads", key)
            return None if data is None else msgspec.json.decode(data, type=Labels)
        except (msgspec.DecodeError, CorruptRecord):
            return None
