"""The model's tables over JSON files, with an index where the model would look at every row."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar, cast

from treadle.backends.files._cache import RowCache, row_reader
from treadle.backends.files._collection_files import Lines, Whole
from treadle.backends.files._delta_files import DeltaFiles
from treadle.backends.files._document_table import DocumentTable
from treadle.backends.files._entries import Append, Entry, FileKey, Put, Update
from treadle.backends.files._entry_cache import EntryCache
from treadle.backends.files._index import MailboxIndex
from treadle.backends.files._listed_threads import ListedThreads
from treadle.backends.files._thread_cache import ThreadCache, Written
from treadle.backends.files.json_files import JsonFiles
from treadle.backends.model.run_index import RunIndex
from treadle.backends.model.tables import Row, RowTable, TableName, Tables, VersionSource
from treadle.core.claims import ClaimRequest
from treadle.core.codec import decode
from treadle.core.document_keys import KeyRange
from treadle.core.documents import Document
from treadle.core.id_ranges import Ids
from treadle.core.mailboxes import TERMINAL, EntryStatus, MailboxEntry, MailboxState
from treadle.core.message_times import MessageTimes, timed
from treadle.core.messages import Message, StoredMessage
from treadle.core.pages import Order
from treadle.core.runs import RunRecord, is_active
from treadle.core.thread_summaries import ThreadSummary
from treadle.core.threads import Step, ThreadDelta, ThreadHead

THREAD_BYTES = 16 * 2**20
"""About how much memory threads take, as long as there are several."""
ENDED_ROWS = 5_000
"""How many entries that have ended are rows, so that listings need not unpack them."""
ENDED_BYTES = 32 * 2**20
"""How much memory others that have ended take: about 90,000 with 200 bytes each."""
ROWS = 50_000
"""How many runs, and how many states of mailboxes, stay in memory."""

RowT = TypeVar("RowT", MailboxEntry, RunRecord)


class FileTables(Tables):
    """Tables whose rows are read from JSON files, and whose indexes are built, when needed."""

    threads: ThreadCache
    runs: RowCache[RunRecord]
    entries: EntryCache
    mailboxes: RowCache[MailboxState]
    documents: DocumentTable

    def __init__(self, files: JsonFiles, delta_files: DeltaFiles, versions: VersionSource) -> None:
        super().__init__()
        self.versions = versions
        self._files = files
        self._delta_files = delta_files
        self._folds_case = files.folds_case()
        self.threads = ThreadCache(  # pyright: ignore[reportIncompatibleVariableOverride]
            files, self.put_in("threads"), THREAD_BYTES
        )
        self.runs = RowCache(  # pyright: ignore[reportIncompatibleVariableOverride]
            files, "runs", self.put_in("runs"), row_reader(files, "runs", RunRecord), ROWS
        )
        self.entries = EntryCache(  # pyright: ignore[reportIncompatibleVariableOverride]
            files, self.put_in("entries"), ENDED_ROWS, ENDED_BYTES
        )
        self.mailboxes = RowCache(  # pyright: ignore[reportIncompatibleVariableOverride]
            files,
            "mailboxes",
            self.put_in("mailboxes"),
            row_reader(files, "mailboxes", MailboxState),
            ROWS,
        )
        self.documents = DocumentTable(  # pyright: ignore[reportIncompatibleVariableOverride]
            files, self.put_in("documents")
        )
        self._caches: dict[TableName, RowCache[Any]] = {
            "threads": self.threads,
            "runs": self.runs,
            "entries": self.entries,
            "mailboxes": self.mailboxes,
        }
        self._index: MailboxIndex | None = None
        self._known_runs: RunIndex | None = None
        self._known_repairs = 0
        """How many runs had been repaired when their index was made."""
        self._listed = ListedThreads(self.threads)

    def put(self, table: TableName, key: str, row: Row | None) -> None:
        """Insert or replace the row at `key`; None removes it.

        Raises:
            AlreadyExists: the file system cannot distinguish the new id from another one.
            CorruptRecord: the JSON file of the row that is there cannot be read.
        """
        cache = self._table(table)
        before = cache.get(key)
        if before is None and row is not None:
            cache.check_unused(key)
            if self._folds_case:
                cache.check_distinct(key)
        self._before.setdefault((table, key), before)
        self.replace(table, key, before, row)

    def replace(self, table: TableName, key: str, before: Row | None, after: Row | None) -> None:
        """Make a change, and update the index."""
        rows: RowTable[Any] = self._table(table)
        if after is not None:
            rows[key] = after
        elif before is not None:
            del rows[key]
        if table == "threads":
            self._listed.note_change(key)
        elif table == "entries" and self._index is not None:
            self._index.replace(
                cast("MailboxEntry | None", before), cast("MailboxEntry | None", after)
            )
        elif table == "runs" and self._known_runs is not None:
            self._known_runs.replace(
                cast("RunRecord | None", before), cast("RunRecord | None", after)
            )
        elif table == "mailboxes" and self._index is not None:
            self._index.offer(key)  # it may have been paused, and is no longer

    def follow(self, entries: Iterable[Entry]) -> None:
        """Apply entries that another process has committed, as far as rows are in memory."""
        for entry in entries:
            if isinstance(entry, Lines | Whole):
                self.documents.follow(entry)
                continue
            if entry.table == "threads":
                self._listed.note_change(entry.key)
            if isinstance(entry, Append):
                self.threads.follow(entry.key, entry.deltas)
            elif isinstance(entry, Update):
                self.threads.follow(entry.key, [entry.labels])
            elif entry.table == "entries" and self._index is not None:
                self._follow_row(entry.table, entry.key, _document_of(entry), MailboxEntry)
            elif entry.table == "runs" and self._known_runs is not None:
                self._follow_row(entry.table, entry.key, _document_of(entry), RunRecord)
            else:
                self._caches[entry.table].forget(entry.key, present=isinstance(entry, Put))
                if entry.table == "mailboxes" and self._index is not None:
                    self._index.offer(entry.key)

    def _follow_row(self, table: TableName, key: str, data: bytes | None, kind: type[RowT]) -> None:
        """Make a change of another process to a row that an index knows."""
        cache = self._caches[table]
        before = cache.cached(key)
        after = None if data is None else decode(kind, data)
        self.replace(table, key, before, after)
        if after is None:
            cache.forget(key, present=False)  # it may not have been in memory
        else:
            cache.mark_written(key)

    def mark_written(self, keys: Iterable[FileKey]) -> None:
        """Note that the JSON files of these rows are written, or removed."""
        for table, key in keys:
            self._caches[table].mark_written(key)

    def end_group(self) -> None:
        """Keep no more in memory than there is room for."""
        for cache in self._caches.values():
            cache.evict()
        self.documents.end_group()

    def find_documents(self, keys: KeyRange, order: Order = "asc") -> Iterable[Document]:
        """Return the documents in a range, by their keys, except damaged ones."""
        return self.documents.find_range(keys, order)

    def find_expired(self, before: int, limit: int) -> Iterable[Document]:
        """Return the first `limit` documents that expired before a time, except damaged ones."""
        return islice(self.documents.find_expired(before), limit)

    def find_collections(self, first: str) -> Iterable[str]:
        """Return the collections, `first` or later, that may have documents; in order."""
        return self.documents.find_collections(first)

    def unreadable_documents(self, keys: KeyRange) -> Iterable[str]:
        """Return the damaged lines that are known, of documents that may be in a range."""
        return self.documents.find_unreadable(keys)

    def find_thread_ids(self, resource_id: str | None, parent_thread_id: str | None) -> list[str]:
        """Return the ids of the threads with this owner and this parent; None matches all."""
        if resource_id is None and parent_thread_id is None:
            return list(self.threads)
        return [each.id for each in self.find_summaries(resource_id, parent_thread_id)]

    def find_summaries(
        self, resource_id: str | None, parent_thread_id: str | None
    ) -> list[ThreadSummary]:
        """Return the summaries of the threads with this owner and this parent; None matches all."""
        return self._listed.find(resource_id, parent_thread_id)

    def find_summary(self, thread_id: str) -> ThreadSummary | None:
        """Return the summary of a thread, or None."""
        return self._listed.summary(thread_id)

    def find_last_message(self, thread_id: str) -> StoredMessage | None:
        """Return the last message of a thread that everybody can see; None if it is damaged."""
        return self._listed.last_message(thread_id)

    def find_deltas(
        self, thread_id: str, after_version: int, until_version: int
    ) -> tuple[ThreadDelta, ...] | None:
        """Return the deltas of a thread between two versions; None if not all are known."""
        head = self.threads[thread_id].head
        messages, _ = self.threads.messages(thread_id)
        return self._delta_files.since(head, messages, after_version, until_version)

    def find_steps(self, thread_id: str) -> tuple[Step, ...]:
        """Return the last steps of a thread, oldest first, as far back as they are all known."""
        origin = self.threads[thread_id].origin
        written: tuple[Step, ...] = ()
        if isinstance(origin, Written):
            written = self._delta_files.steps(origin.head, origin.count)
        return written + super().find_steps(thread_id)

    def find_known_messages(self, thread_id: str, message_ids: Iterable[str]) -> set[str]:
        """Return those of `message_ids` that the thread already has."""
        ids = tuple(message_ids)
        stored = self.threads[thread_id]
        known = self.threads.known_messages(thread_id, stored.unloaded, ids)
        if stored.head.thread.messages:  # those of the current group
            known |= super().find_known_messages(thread_id, ids)
        return known

    def find_whole(self, thread_id: str) -> ThreadHead:
        """Return a thread as a whole."""
        return self.threads.whole(thread_id)

    def find_messages(self, thread_id: str) -> tuple[Sequence[Message], MessageTimes]:
        """Return the messages of a thread, and their times."""
        return self.threads.messages(thread_id)

    def find_messages_from(self, thread_id: str, position: int) -> tuple[StoredMessage, ...]:
        """Return the messages of a thread from a position."""
        whole = self.threads.whole(thread_id)
        return timed(whole.thread.messages, whole.message_times, position)

    def find_duplicate(self, mailbox_id: str, dedupe_key: str) -> MailboxEntry | None:
        """Return the entry of the mailbox that has the dedupe key, or None."""
        entry_id = self._indexed().find_duplicate(mailbox_id, dedupe_key)
        return None if entry_id is None else self.entries.get(entry_id)

    def find_entries(
        self, mailbox_id: str | None, statuses: Iterable[EntryStatus]
    ) -> Iterable[MailboxEntry]:
        """Return the entries of a mailbox, or of all, in one of the statuses."""
        if mailbox_id is None or not TERMINAL.isdisjoint(statuses):
            self._indexed()  # reads all entries, and keeps those that a claim may need
            return self.entries.matching(mailbox_id, statuses)
        entries = map(self.entries.__getitem__, self._indexed().unfinished(mailbox_id))
        return [entry for entry in entries if entry.status in statuses]

    def damaged_entries(self, mailbox_id: str) -> Iterable[str]:
        """Return the damaged entries that are known: each may be of the mailbox."""
        return self.entries.unreadable()

    def count_entries(self, mailbox_id: str | None) -> Mapping[EntryStatus, int]:
        """Return the number of entries in each status, of a mailbox or of all."""
        if mailbox_id is not None:
            return super().count_entries(mailbox_id)
        self._indexed()
        return self.entries.counts()

    def find_runs_in(self, thread_id: str) -> Iterable[RunRecord]:
        """Return the runs of a thread, except damaged ones."""
        self.runs.retry_damaged()
        found = self.runs.find(self._indexed_runs().in_thread(thread_id))
        return [run for run in found if run.thread_id == thread_id]

    def find_runs_of(self, entry: MailboxEntry) -> Iterable[RunRecord]:
        """Return the active runs whose `source_mailbox_entry_id` is that of the entry."""
        # A run that was not in memory when another process changed it may still be indexed.
        return [
            run
            for run in self.runs.find(self._indexed_runs().of(entry.entry_id))
            if is_active(run) and run.source_mailbox_entry_id == entry.entry_id
        ]

    def find_waiting_runs(self, thread_id: str) -> Iterable[RunRecord]:
        """Return the runs of a thread that name an entry and wait."""
        return [
            run
            for run in self.runs.find(self._indexed_runs().waiting_in(thread_id))
            if run.status == "waiting"
            and run.thread_id == thread_id
            and run.source_mailbox_entry_id is not None
        ]

    def find_claimable(self, request: ClaimRequest, now: int) -> Iterable[MailboxEntry]:
        """Return the entries that a claim gets, best first."""
        if request.entry_id is not None:
            return super().find_claimable(request, now)
        return self._indexed().choose(request, now)

    def find_claimed(self, mailbox_id: str) -> Iterable[MailboxEntry]:
        """Return the claimed entries of a mailbox, whether their leases are live or not."""
        return self._indexed().claimed(mailbox_id)

    def find_kept(self, mailbox_id: str) -> Iterable[MailboxEntry]:
        """Return the entries of a mailbox that wait for their retry and keep their order."""
        return self._indexed().kept(mailbox_id)

    def find_waiting(self, mailbox_id: str, number: int, now: int) -> Iterable[MailboxEntry]:
        """Return the first entries of a mailbox that its holder may take, and retries."""
        return self._indexed().first_waiting(mailbox_id, number, now)

    def next_due(self, now: int, mailboxes: Ids) -> int | None:
        """Return when an entry becomes claimable: `now` if one is, None if none ever does."""
        return self._indexed().next_due(now, mailboxes)

    def _table(self, table: TableName) -> Any:  # a cache, or the table of documents
        return self.documents if table == "documents" else self._caches[table]

    def _indexed_runs(self) -> RunIndex:
        """Return the index of runs; the first time, and after a repair, it looks at all runs."""
        if self._known_runs is None or self._known_repairs != self.runs.repairs:
            index = RunIndex()
            for run in self.runs.values():
                index.replace(None, run)
            # Not before: an error in between, such as too many open files, concerns only this call.
            self._known_runs, self._known_repairs = index, self.runs.repairs
        return self._known_runs

    def _indexed(self) -> MailboxIndex:
        if self._index is None:
            self._index = MailboxIndex(self.entries, self.mailboxes)
            self.entries.has_unfinished = True
        return self._index


def _document_of(entry: Entry) -> bytes | None:
    """Return the content of the JSON file that an entry of a journal puts, if it puts one."""
    return bytes(entry.content) if isinstance(entry, Put) else None
