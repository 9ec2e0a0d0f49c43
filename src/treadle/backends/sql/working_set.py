"""The working set: the rows of a read set, as tables to which the commands are applied.

The rows are loaded under the transaction's locks before the first batch is applied, and the changed
ones are written afterwards: two round trips for any number of commands. A command that asks for a
row outside the read set gets an error, whichever way it asks: its `touches` is incomplete, and "not
loaded" must not look like "does not exist".
"""

from collections.abc import Callable, Collection, Iterable
from heapq import nsmallest
from itertools import repeat
from typing import Any, TypeVar

import msgspec

from treadle.backends._damage import DamageLog
from treadle.backends.model.known_messages import KnownMessages
from treadle.backends.model.run_index import RunIndex
from treadle.backends.model.sorted_keys import SortedKeys
from treadle.backends.model.tables import (
    TABLE_NAMES,
    Change,
    Row,
    TableName,
    VersionSource,
)
from treadle.backends.sql._purges import EntryPurges
from treadle.backends.sql._refused import RefusingTables
from treadle.backends.sql._whole_threads import WholeThreads
from treadle.backends.sql.loaded_rows import LoadedRows, NotLoaded
from treadle.backends.sql.program import Read
from treadle.backends.sql.program import Row as DatabaseRow
from treadle.backends.sql.rows import (
    ReadRow,
    damage_of,
    read_claim,
    read_document_head,
    read_entry,
    read_json,
    read_mailbox,
    read_run,
)
from treadle.backends.sql.thread_rows import (
    LockedThread,
    read_labels,
    read_locked_thread,
    read_message,
)
from treadle.core.document_keys import KeyRange, join, row_key
from treadle.core.documents import Document, expiry_order, has_expired
from treadle.core.mailboxes import EntryStatus, MailboxEntry, MailboxState, is_terminal
from treadle.core.messages import StoredMessage
from treadle.core.pages import Order
from treadle.core.read_set import ReadSet
from treadle.core.runs import RunRecord
from treadle.core.threads import Step, StoredThread, Thread, ThreadHead
from treadle.errors import CorruptRecord

RowT = TypeVar("RowT")
ReadT = TypeVar("ReadT")


_INDEXES: dict[str, Callable[[], object]] = {
    "purges": EntryPurges,
    "_run_index": RunIndex,
    "_document_keys": SortedKeys,
    "_known_messages": KnownMessages,
    "_wholes": WholeThreads,
}
"""What a working set has beside its tables, by attribute."""


class StaleRead(LookupError):
    """An entry was inserted after its mailbox was loaded, so it is not locked: load again."""


class WorkingSet(RefusingTables):
    """Loaded rows, before and after. Of a thread only the head is loaded, without messages."""

    threads: LoadedRows[StoredThread]  # pyright: ignore[reportIncompatibleVariableOverride]
    runs: LoadedRows[RunRecord]  # pyright: ignore[reportIncompatibleVariableOverride]
    entries: LoadedRows[MailboxEntry]  # pyright: ignore[reportIncompatibleVariableOverride]
    mailboxes: LoadedRows[MailboxState]  # pyright: ignore[reportIncompatibleVariableOverride]
    documents: LoadedRows[Document]  # pyright: ignore[reportIncompatibleVariableOverride]
    purges: EntryPurges
    """The purges of entries that are not in memory."""
    _wholes: WholeThreads

    def __init__(self, read_set: ReadSet, versions: VersionSource) -> None:
        super().__init__(versions)
        self._read_set = read_set
        self.locked_threads: dict[str, LockedThread] = {}
        """The rows of the loaded threads."""
        self.unreadable_entries: dict[str, list[str]] = {}
        """The loaded entries that cannot be read, by their mailboxes."""
        self._as_loaded: dict[tuple[TableName, str], Row] = {}
        self._touched: dict[tuple[TableName, str], None] = {}
        self._stored_messages: dict[str, dict[str, int]] = {}
        """The first position of each message id of a thread that was asked for and is stored."""
        self._last_messages: dict[str, list[DatabaseRow]] = {}
        """The last messages of each thread, with their positions, as far as they are loaded."""
        self._children: dict[str, list[str]] = {}
        """The stored threads right below a thread, as far as they are loaded."""
        self._claimed_in = set(read_set.claimed_in)
        """The mailboxes whose claimed entries are all in memory."""
        self._waiting_in = set(read_set.claimed_in) if read_set.waiting else set[str]()
        """The mailboxes of which the entries that wait first are in memory."""
        self._duplicates: dict[tuple[str, str], dict[str, MailboxEntry]] = {}
        """Entries by mailbox and dedupe key. Restored entries may share one."""
        self._claimed: dict[str, dict[str, MailboxEntry]] = {}

    def make_tables(self) -> None:
        """Make no table and no index yet: most commits use two or three of all."""

    def __getattr__(self, name: str) -> Any:
        """Make a table, which knows the rows that will be loaded into it, or an index."""
        made: LoadedRows[Any] | object
        if name in TABLE_NAMES:
            made = LoadedRows(self.put_in(name), name, getattr(self._read_set, name))
        elif name in _INDEXES:
            made = _INDEXES[name]()
        else:
            raise AttributeError(f"a working set has no {name!r}")
        setattr(self, name, made)
        return made

    def fill(
        self, reads: Iterable[Read], answers: Iterable[list[DatabaseRow]], damage: DamageLog
    ) -> frozenset[str]:
        """Take in the answers of the queries that load the read set.

        A row that is damaged fails the commands that look it up by its id. Finders leave it out,
        and `damage` notes it.

        Returns:
            The mailboxes of loaded entries that were not loaded with them: they were created since,
            or are missing. Their entries count as damaged.
        """
        claims: list[MailboxEntry] = []
        entries: list[MailboxEntry] = []
        for read, rows in zip(reads, answers, strict=True):
            match read.name:  # the most frequent ones first
                case "load_threads_for_update":
                    self._load_threads(rows)
                case "load_message_ids" | "load_last_messages":
                    self._load_messages(read.name, rows)
                case "load_mailboxes_for_update":
                    for state in self._readable("mailboxes", read_mailbox, rows):
                        self._load("mailboxes", state.mailbox_id, state)
                case "load_claims":
                    claims += self._readable("entries", read_claim, rows)
                case "load_entries":
                    entries += self._readable("entries", read_entry, rows)
                case "load_labels" | "load_children":
                    self._load_labels(read, rows)
                case "load_runs_for_update" | "load_runs_of_settled" | "load_runs_of_entries":
                    named = read.name == "load_runs_for_update"
                    for run in self._readable("runs", read_run, rows, None if named else damage):
                        self._load("runs", run.run_id, run)
                        self._run_index.replace(None, run)
                case "load_documents_for_update" | "load_document_range" | "load_expired_documents":
                    self._load_documents(rows, damage)
                case _ if self._wholes.take(read, rows):
                    pass
                case "count_ended":
                    self.purges.found[read.values["ended_before"]] = dict(rows)
                case "load_claimed_beside" | "load_entries_of_mailboxes":
                    claims += self._readable("entries", read_claim, rows, damage)
                case _:
                    entries += self._readable("entries", read_entry, rows, damage)
        # An entry may come twice. The one with its payload comes first, and stays.
        entries += claims
        return frozenset([each.mailbox_id for each in entries if not self._load_entry(each)])

    def _readable(
        self,
        table: TableName,
        read: ReadRow[ReadT],
        rows: Iterable[DatabaseRow],
        damage: DamageLog | None = None,
    ) -> list[ReadT]:
        """What can be read of the rows; the others are marked as damaged, and noted."""
        found: list[ReadT] = []
        for row in rows:
            try:
                found.append(read(row))
            except CorruptRecord as error:
                getattr(self, table).damaged[row[0]] = error
                if table == "entries":
                    self.unreadable_entries.setdefault(row[1], []).append(row[0])
                if damage is not None:
                    damage.note(error)
        return found

    def _load_threads(self, rows: Iterable[DatabaseRow]) -> None:
        for row in self._readable("threads", read_locked_thread, rows):
            self.locked_threads[row.thread_id] = row
            head = ThreadHead(thread=Thread(id=row.thread_id), version=row.version)
            stored = StoredThread(head, unloaded=row.message_count)
            self._load("threads", row.thread_id, stored)

    def _load_messages(self, name: str, rows: Iterable[DatabaseRow]) -> None:
        for thread_id, *row in rows:
            if name == "load_last_messages":
                self._last_messages.setdefault(thread_id, []).append(tuple(row))
                continue
            known = self._stored_messages.setdefault(thread_id, {})
            message_id, position = read_json(row[0]), row[1]
            known[message_id] = min(known.get(message_id, position), position)

    def _load_labels(self, read: Read, rows: Iterable[DatabaseRow]) -> None:
        """Give the loaded threads their owners, parents and metadata, or note who is below one."""
        if read.name == "load_children":
            self._children[read.values["parent_thread_id"]] = [key for (key,) in rows]
            return
        for thread in self._readable("threads", read_labels, rows):
            if self.threads.is_loaded(thread.id):  # others may have created it since
                stored = self.threads[thread.id]
                head = msgspec.structs.replace(stored.head, thread=thread)
                self._load("threads", thread.id, msgspec.structs.replace(stored, head=head))

    def _load_documents(self, rows: Iterable[DatabaseRow], damage: DamageLog) -> None:
        for row in rows:
            key = row_key(row[0], (row[1],))
            try:
                self._load("documents", key, read_document_head(row))
            except CorruptRecord as error:
                self.documents.damaged[key] = error
                damage.note(error)

    def _load_entry(self, entry: MailboxEntry) -> bool:
        """Load an entry, unless its mailbox is not loaded: then return False."""
        mailboxes = self.mailboxes
        if not mailboxes.is_loaded(entry.mailbox_id) and entry.mailbox_id not in mailboxes.damaged:
            reason = "its mailbox is missing"
            where = f"mailbox entry {entry.entry_id!r}"
            self.entries.damaged[entry.entry_id] = CorruptRecord(where, reason)
            return False
        if entry.entry_id in self._read_set.claimed_beside:
            self._claimed_in.add(entry.mailbox_id)
        if entry.entry_id in self._read_set.waiting:
            self._waiting_in.add(entry.mailbox_id)
        if not self.entries.is_loaded(entry.entry_id):
            self._load("entries", entry.entry_id, entry)
            self._index(None, entry)
        return True

    def _load(self, table: TableName, key: str, row: Row) -> None:
        rows: LoadedRows[Any] = getattr(self, table)
        rows.asked.add(key)  # so that the row is known to be gone after a batch has removed it
        rows[key] = row
        self._as_loaded[table, key] = row

    # --- batches ----------------------------------------------------------------------------------

    def replace(self, table: TableName, key: str, before: Row | None, after: Row | None) -> None:
        """Make a change, and keep the indexes of entries up to date."""
        super().replace(table, key, before, after)
        if table == "entries":
            self._index(before, after)

    def commit(self) -> list[Change]:
        """End the batch. Its changes are written with those of its whole group: see `changes`."""
        self._touched |= dict.fromkeys(self._before)
        self._before.clear()
        return []

    def rollback(self) -> None:
        """Take back what the batch has changed so far."""
        super().rollback()
        # A batch that purges is a group by itself, so all purges are this batch's.
        self.purges.clear()

    def changes(self) -> list[Change]:
        """The rows that differ from what was loaded, in the order of first touch."""
        changes: list[Change] = []
        for table, key in self._touched:
            before = self._as_loaded.get((table, key))
            after = getattr(self, table).get(key)
            if before is not after:
                changes.append(Change(table, key, before, after))
        return changes

    def release(self) -> None:
        """Forget everything: the set and its tables refer to each other.

        Only the garbage collector would free them, long after, and in the caller's time.
        """
        vars(self).clear()

    def loaded_entry_ids(self) -> Iterable[str]:
        """The ids of the entries in memory."""
        return [entry.entry_id for entry in self.entries.loaded()]

    def absent_documents(self) -> list[str]:
        """The documents that a check has found missing, and that this group does not create."""
        return [
            key
            for key in self._read_set.absent_documents
            if ("documents", key) not in self._as_loaded
            and key not in self.documents.damaged
            and not self.documents.is_loaded(key)
        ]

    # --- finders ----------------------------------------------------------------------------------

    def find_labels(self, thread_id: str) -> Thread:
        """A thread with its owner, its parent and its metadata."""
        if thread_id not in self._read_set.labels:
            raise NotLoaded(f"labels of thread {thread_id!r}")
        return super().find_labels(thread_id)

    def find_thread_ids(self, resource_id: str | None, parent_thread_id: str | None) -> list[str]:
        """The ids of threads right below a thread: all, or enough to know what a purge asks."""
        if resource_id is not None or parent_thread_id not in self._children:
            raise NotLoaded(f"threads of owner {resource_id!r}, below {parent_thread_id!r}")
        touched = {key for table, key in (*self._touched, *self._before) if table == "threads"}
        known = {key: self.threads.get(key) for key in touched if self._knows_parent(key)}
        here = [each.head.thread for each in known.values() if each is not None]
        return [
            *(key for key in self._children[parent_thread_id] if key not in known),
            *(thread.id for thread in here if thread.parent_thread_id == parent_thread_id),
        ]

    def _knows_parent(self, thread_id: str) -> bool:
        """Return False if a thread is as loaded, without its labels."""
        loaded, now = self._as_loaded.get(("threads", thread_id)), self.threads.get(thread_id)
        return thread_id in self._read_set.labels or (
            now is None or not isinstance(loaded, StoredThread) or loaded.origin is not now.origin
        )

    def find_known_messages(self, thread_id: str, message_ids: Iterable[str]) -> set[str]:
        """Return those of `message_ids` that the thread already has."""
        wanted = set(message_ids)
        if not self._read_set.messages.issuperset(zip(repeat(thread_id), wanted)):
            raise NotLoaded(f"messages of thread {thread_id!r}")
        stored = self.threads[thread_id]
        known: set[str] = set()
        if stored.head.thread.messages:  # those that this group has added
            known |= super().find_known_messages(thread_id, wanted)
        loaded = self._stored_messages.get(thread_id)
        before = self._as_loaded.get(("threads", thread_id))
        if loaded and isinstance(before, StoredThread) and before.origin is stored.origin:
            known |= {each for each in wanted if each in loaded and loaded[each] < stored.unloaded}
        return known

    def find_whole(self, thread_id: str) -> ThreadHead:
        """A thread as a whole."""
        if not {thread_id} <= self._read_set.wholes & self._read_set.labels:
            raise NotLoaded(f"thread {thread_id!r} as a whole")
        stored = self.threads[thread_id]
        loaded = self._as_loaded.get(("threads", thread_id))
        if not isinstance(loaded, StoredThread) or loaded.origin is not stored.origin:
            return stored.head
        return self._wholes.grown(stored)

    def find_steps(self, thread_id: str) -> tuple[Step, ...]:
        """The last steps of a thread, oldest first, as far back as they are all known."""
        if not {thread_id} <= self._read_set.steps & self._read_set.wholes:
            raise NotLoaded(f"steps of thread {thread_id!r}")
        since = super().find_steps(thread_id)  # those of this group
        loaded = self._as_loaded.get(("threads", thread_id))
        if not isinstance(loaded, StoredThread):
            return since
        is_same = loaded.origin is self.threads[thread_id].origin
        return self._wholes.steps(thread_id) + since if is_same else since

    def find_messages_from(self, thread_id: str, position: int) -> tuple[StoredMessage, ...]:
        """The messages of a thread from a position."""
        stored = self.threads[thread_id]
        fresh = tuple(
            msgspec.structs.replace(each, cursor=stored.unloaded + each.cursor)
            for each in super().find_messages_from(thread_id, max(position - stored.unloaded, 0))
        )
        if position >= stored.unloaded:
            return fresh
        before = self._as_loaded["threads", thread_id]
        assert isinstance(before, StoredThread)  # noqa: S101
        if position < self._read_set.first_loaded(thread_id, before.unloaded):
            raise NotLoaded(f"messages of thread {thread_id!r} from {position} on")
        wanted = range(position, stored.unloaded)
        with damage_of(f"thread {thread_id!r}"):
            rows = map(read_message, self._last_messages.get(thread_id, ()))
            found = {each.cursor: each for each in rows}
            return tuple(found[each] for each in wanted) + fresh

    def find_duplicate(self, mailbox_id: str, dedupe_key: str) -> MailboxEntry | None:
        """The entry of the mailbox that has the dedupe key, or None."""
        if (mailbox_id, dedupe_key) not in self._read_set.duplicates:
            raise NotLoaded(f"entries of mailbox {mailbox_id!r} with dedupe key {dedupe_key!r}")
        return next(iter(self._duplicates.get((mailbox_id, dedupe_key), {}).values()), None)

    def find_claimed(self, mailbox_id: str) -> Iterable[MailboxEntry]:
        """The claimed entries of a mailbox."""
        if mailbox_id not in self._claimed_in:
            raise NotLoaded(f"claimed entries of mailbox {mailbox_id!r}")
        return tuple(self._claimed.get(mailbox_id, {}).values())

    def find_waiting(self, mailbox_id: str, number: int, now: int) -> list[MailboxEntry]:
        """The unfinished entries of a mailbox that are in memory."""
        if mailbox_id not in self._waiting_in:
            raise NotLoaded(f"waiting entries of mailbox {mailbox_id!r}")
        return self._loaded_unfinished(mailbox_id)

    def find_runs_of(self, entry: MailboxEntry) -> Iterable[RunRecord]:
        """The active runs whose `source_mailbox_entry_id` is that of the entry."""
        read_set = self._read_set
        if not (
            entry.entry_id in read_set.runs_of
            or entry.mailbox_id in read_set.runs_in
            or (entry.mailbox_id, entry.dedupe_key) in read_set.runs_of_keys
        ):
            raise NotLoaded(f"active runs of entry {entry.entry_id!r}")
        return super().find_runs_of(entry)

    def find_waiting_runs(self, thread_id: str) -> Iterable[RunRecord]:
        """The runs of a thread that name an entry and wait."""
        if thread_id not in self._read_set.waiting_runs_in:
            raise NotLoaded(f"waiting runs of thread {thread_id!r}")
        return super().find_waiting_runs(thread_id)

    def find_unfinished(self, mailbox_id: str) -> list[MailboxEntry]:
        """The queued and claimed entries of a mailbox."""
        if mailbox_id not in self._read_set.unfinished:
            raise NotLoaded(f"unfinished entries of mailbox {mailbox_id!r}")
        return self._loaded_unfinished(mailbox_id)

    def _loaded_unfinished(self, mailbox_id: str) -> list[MailboxEntry]:
        return [
            entry
            for entry in self.entries.loaded()
            if entry.mailbox_id == mailbox_id and not is_terminal(entry)
        ]

    def find_entries(
        self, mailbox_id: str | None, statuses: Iterable[EntryStatus]
    ) -> list[MailboxEntry]:
        """The entries of a mailbox in one of the statuses."""
        if mailbox_id not in self._read_set.entries_of:
            raise NotLoaded(f"entries by status of {mailbox_id!r}")
        loaded = self.entries.loaded()
        return [
            each for each in loaded if each.mailbox_id == mailbox_id and each.status in statuses
        ]

    def damaged_entries(self, mailbox_id: str) -> Iterable[str]:
        """The entries of a mailbox that were loaded, and cannot be read."""
        return self.unreadable_entries.get(mailbox_id, ())

    def purge(self, ended_before: int, statuses: Collection[EntryStatus]) -> int:
        """Remove ended entries; `write` removes those that are not in memory, which are counted."""
        if ended_before not in self.purges.found:
            raise NotLoaded(f"entries that ended before {ended_before}")
        here = [
            entry
            for entry in self.entries.loaded()
            if entry.status in statuses and entry.updated_at < ended_before
        ]
        for entry in here:
            self.put("entries", entry.entry_id, None)
        # Those that the read set names by id were not counted. Others were loaded by their mailbox
        # or dedupe key.
        counted = [
            row
            for row in self._as_loaded.values()
            if isinstance(row, MailboxEntry) and row.entry_id not in self._read_set.entries
        ]
        return len(here) + self.purges.add(ended_before, statuses, counted)

    def find_documents(self, keys: KeyRange, order: Order = "asc") -> list[Document]:
        """The documents in a range of keys."""
        if (keys.collection, keys.after, keys.before) not in self._read_set.document_ranges:
            raise NotLoaded(f"documents of collection {keys.collection!r} in {keys}")
        found = [
            document
            for document in self.documents.loaded()
            if document.collection == keys.collection and keys.has(join(document.key))
        ]
        return sorted(found, key=lambda document: document.key, reverse=order == "desc")

    def find_expired(self, before: int, limit: int) -> list[Document]:
        """The first `limit` documents that expired before a time (unix milliseconds)."""
        if self._read_set.expired_before.get(before, 0) < limit:
            raise NotLoaded(f"{limit} documents that expired before {before}")
        found = (each for each in self.documents.loaded() if has_expired(each, before))
        return nsmallest(limit, found, key=expiry_order)

    def _index(self, before: Row | None, after: Row | None) -> None:
        if isinstance(before, MailboxEntry):
            self._claimed.get(before.mailbox_id, {}).pop(before.entry_id, None)
            if before.dedupe_key is not None:
                key = (before.mailbox_id, before.dedupe_key)
                self._duplicates.get(key, {}).pop(before.entry_id, None)
        if isinstance(after, MailboxEntry):
            self.mailboxes.asked.add(after.mailbox_id)
            if after.status == "claimed":
                self._claimed.setdefault(after.mailbox_id, {})[after.entry_id] = after
            if after.dedupe_key is not None:
                key = (after.mailbox_id, after.dedupe_key)
                self._duplicates.setdefault(key, {})[after.entry_id] = after
