"""Tables of rows, and a log that takes back what an unfinished batch has changed.

Memory keeps all rows in them. Files put a cache of documents in their place, and databases the rows
that a batch touches; both override the finders that would look at every row.
"""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping, Sequence
from functools import partial
from heapq import nsmallest
from typing import Any, Literal, TypeAlias, TypeVar, cast, get_args

import msgspec

from treadle.backends.model.known_messages import KnownMessages
from treadle.backends.model.run_index import RunIndex
from treadle.backends.model.sorted_keys import SortedKeys
from treadle.core.claims import ClaimRequest, choose, due_time, is_kept
from treadle.core.document_keys import END, SEPARATOR, KeyRange, split_row_key
from treadle.core.documents import Document, expiry_order, has_expired
from treadle.core.id_ranges import Ids, is_in
from treadle.core.limits import next_number
from treadle.core.mailbox_pauses import is_paused
from treadle.core.mailboxes import STATUSES, UNFINISHED, EntryStatus, MailboxEntry, MailboxState
from treadle.core.message_times import MessageTimes, timed
from treadle.core.messages import Message, StoredMessage
from treadle.core.pages import Order
from treadle.core.runs import RunRecord
from treadle.core.thread_summaries import ThreadSummary, last_visible, summarized
from treadle.core.threads import (
    History,
    Step,
    StoredThread,
    Thread,
    ThreadDelta,
    ThreadHead,
    all_history,
    history_since,
    step_of,
)

TableName = Literal["threads", "runs", "entries", "mailboxes", "documents"]
TABLE_NAMES: tuple[TableName, ...] = get_args(TableName)

Row: TypeAlias = StoredThread | RunRecord | MailboxEntry | MailboxState | Document
RowT = TypeVar("RowT")

Put: TypeAlias = Callable[[str, RowT | None], None]
"""Puts a row at an id; None removes the row."""


class Change(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A row before a batch and after it; None: no row."""

    table: TableName
    key: str
    before: Row | None
    after: Row | None


def steps_of(change: Change) -> tuple[History, ...] | None:
    """What a batch appended to a thread and cut off, as steps; None if it did more than that."""
    before, after = change.before, change.after
    if not isinstance(before, StoredThread) or not isinstance(after, StoredThread):
        return None
    return steps_between(before, after)


def steps_between(before: StoredThread, after: StoredThread) -> tuple[History, ...] | None:
    """The same for the two rows of the thread."""
    # Versions do not tell: a thread may be deleted and created again at such a version.
    if before.origin is not after.origin:
        return None
    steps: list[History] = []
    link = after.history
    while link is not before.history:
        if link is None:
            return None
        steps.append(link)
        link = link.before
    return tuple(reversed(steps))


class VersionSource:
    """The versions of documents that one handle gives out, in any thread; they only rise."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def next(self, least: int) -> int:
        """Return a version that is at least `least` and larger than all before.

        Raises:
            InvalidValue: there is none left.
        """
        with self._lock:
            self._last = max(least, next_number(self._last, "the version of the document"))
            return self._last


class RowTable(MutableMapping[str, RowT]):
    """A table that backends keep: a `treadle.core.rows.Table`, and a mapping for its owner.

    Commands change it by `put` and `remove`, which `Tables` logs. The mapping's own methods change
    the row, log nothing and update no index; a backend that reads rows calls `Tables.replace`.
    """

    def __init__(self, put: Put[RowT]) -> None:
        self.put: Put[RowT] = put

    def remove(self, key: str) -> None:
        """Remove the row."""
        self.put(key, None)

    def unreadable(self) -> Iterable[str]:
        """The rows that cannot be read, as far as they are known."""
        return ()

    def find(self, keys: Iterable[str]) -> Iterable[RowT]:
        """The rows at some ids, in that order; ids without one are left out."""
        return [row for key in keys if (row := self.get(key)) is not None]


class MemoryTable(dict[str, RowT], RowTable[RowT]):
    """A table that is a dictionary."""

    def __init__(self, put: Put[RowT]) -> None:
        dict.__init__(self)
        RowTable.__init__(self, put)


class Tables:
    """All rows of a store. A batch changes them, and ends with `commit` or `rollback`.

    Args:
        versions: the source of the versions of documents.
    """

    threads: RowTable[StoredThread]
    runs: RowTable[RunRecord]
    entries: RowTable[MailboxEntry]
    mailboxes: RowTable[MailboxState]
    documents: RowTable[Document]

    def __init__(self, versions: VersionSource | None = None) -> None:
        self.versions = VersionSource() if versions is None else versions
        self._before: dict[tuple[TableName, str], Row | None] = {}
        self.make_tables()

    def make_tables(self) -> None:
        """Make the tables and their indexes; a subclass may put it off until they are used."""
        for table in TABLE_NAMES:
            setattr(self, table, self.make_table(table))
        self._document_keys = SortedKeys()
        self._run_index = RunIndex()
        self._known_messages = KnownMessages()

    def make_table(self, table: TableName) -> RowTable[Any]:
        """Return an empty table; a subclass may keep its rows in another kind of table."""
        return MemoryTable(self.put_in(table))

    def put_in(self, table: TableName) -> Put[Any]:
        """Return the function that puts a row into `table`."""
        return partial(self.put, table)

    def put(self, table: TableName, key: str, row: Row | None) -> None:
        """Insert or replace the row at `key`; None removes it."""
        before = getattr(self, table).get(key)
        self._before.setdefault((table, key), before)
        self.replace(table, key, before, row)

    def replace(self, table: TableName, key: str, before: Row | None, after: Row | None) -> None:
        """Make a change without logging it, as for rows that a backend reads from its file.

        A subclass that keeps an index updates it here.
        """
        rows: RowTable[Any] = getattr(self, table)
        if after is not None:
            rows[key] = after
        elif before is not None:
            del rows[key]
        if table == "documents":
            self._document_keys.note(key, present=after is not None)
        elif table == "runs":
            self._run_index.replace(
                cast("RunRecord | None", before), cast("RunRecord | None", after)
            )

    def commit(self) -> list[Change]:
        """End the batch; return its changes, in the order of first touch."""
        changes: list[Change] = []
        for (table, key), before in self._before.items():
            after = getattr(self, table).get(key)
            if before is not after:
                changes.append(Change(table, key, before, after))
        self._before.clear()
        return changes

    def rollback(self) -> None:
        """Take back what the batch has changed so far."""
        for (table, key), before in reversed(self._before.items()):
            now = getattr(self, table).get(key)
            if now is not before:
                self.replace(table, key, now, before)
        self._before.clear()

    # --- finders: see `MailboxRows`, `ThreadRows`, `SummaryRows`, `ClosingRows` and `ClaimRows` ---

    def find_known_messages(self, thread_id: str, message_ids: Iterable[str]) -> set[str]:
        """Return those of `message_ids` that the thread already has."""
        ids = self._known_messages.ids(self.threads[thread_id])
        return {each for each in message_ids if ids[each] > 0}

    def find_whole(self, thread_id: str) -> ThreadHead:
        """A thread as a whole."""
        return self.threads[thread_id].head

    def find_messages(self, thread_id: str) -> tuple[Sequence[Message], MessageTimes]:
        """The messages of a thread, and their times."""
        head = self.threads[thread_id].head
        return head.thread.messages, head.message_times

    def find_last_message(self, thread_id: str) -> StoredMessage | None:
        """The last message of a thread that everybody can see, or None."""
        return last_visible(*self.find_messages(thread_id))

    def find_messages_from(self, thread_id: str, position: int) -> tuple[StoredMessage, ...]:
        """The messages of a thread from a position."""
        head = self.threads[thread_id].head
        return timed(head.thread.messages, head.message_times, position)

    def find_thread_ids(
        self, resource_id: str | None, parent_thread_id: str | None
    ) -> Iterable[str]:
        """The ids of the threads with this owner and this parent; None matches all."""
        return [
            key
            for key, stored in self.threads.items()
            if resource_id in (None, stored.head.thread.resource_id)
            and parent_thread_id in (None, stored.head.thread.parent_thread_id)
        ]

    def find_labels(self, thread_id: str) -> Thread:
        """A thread with its owner, its parent and its metadata."""
        return self.threads[thread_id].head.thread

    def find_summaries(
        self, resource_id: str | None, parent_thread_id: str | None
    ) -> Iterable[ThreadSummary]:
        """The summaries of the threads with this owner and this parent; None matches all."""
        ids = self.find_thread_ids(resource_id, parent_thread_id)
        return [summarized(self.threads[key].head) for key in ids]

    def find_summary(self, thread_id: str) -> ThreadSummary | None:
        """The summary of a thread, or None if it does not exist."""
        stored = self.threads.get(thread_id)
        return None if stored is None else summarized(stored.head)

    def find_deltas(
        self, thread_id: str, after_version: int, until_version: int
    ) -> tuple[ThreadDelta, ...] | None:
        """The deltas of a thread between two versions; None if not all since then are known."""
        stored = self.threads[thread_id]
        steps = history_since(stored.history, after_version, stored.head.version)
        if steps is None:
            return None
        return tuple(step.delta for step in steps[: until_version - after_version])

    def find_steps(self, thread_id: str) -> tuple[Step, ...]:
        """The last steps of a thread, oldest first, as far back as they are all known."""
        return tuple(map(step_of, all_history(self.threads[thread_id].history)))

    def find_duplicate(self, mailbox_id: str, dedupe_key: str) -> MailboxEntry | None:
        """The entry of the mailbox that has the dedupe key, or None."""
        for entry in self.entries.values():
            if entry.mailbox_id == mailbox_id and entry.dedupe_key == dedupe_key:
                return entry
        return None

    def find_runs_in(self, thread_id: str) -> Iterable[RunRecord]:
        """The runs of a thread."""
        return self.runs.find(self._run_index.in_thread(thread_id))

    def find_runs_of(self, entry: MailboxEntry) -> Iterable[RunRecord]:
        """The active runs whose `source_mailbox_entry_id` is that of the entry."""
        ids = self._run_index.of(entry.entry_id)
        return self.runs.find(ids) if ids else ()  # most entries have none

    def find_waiting_runs(self, thread_id: str) -> Iterable[RunRecord]:
        """The runs of a thread that name an entry and wait."""
        return self.runs.find(self._run_index.waiting_in(thread_id))

    def find_entries(
        self, mailbox_id: str | None, statuses: Iterable[EntryStatus]
    ) -> Iterable[MailboxEntry]:
        """The entries of a mailbox, or of all, in one of the statuses."""
        return [
            entry
            for entry in self.entries.values()
            if (mailbox_id is None or entry.mailbox_id == mailbox_id) and entry.status in statuses
        ]

    def count_entries(self, mailbox_id: str | None) -> Mapping[EntryStatus, int]:
        """The number of entries in each status, of a mailbox or of all."""
        return Counter(entry.status for entry in self.find_entries(mailbox_id, STATUSES))

    def find_unfinished(self, mailbox_id: str) -> Iterable[MailboxEntry]:
        """The queued and claimed entries of the mailbox."""
        return self.find_entries(mailbox_id, UNFINISHED)

    def find_claimed(self, mailbox_id: str) -> Iterable[MailboxEntry]:
        """The claimed entries of a mailbox, whether their leases are live or not."""
        return self.find_entries(mailbox_id, ("claimed",))

    def find_kept(self, mailbox_id: str) -> Iterable[MailboxEntry]:
        """The entries of a mailbox that wait for their retry and keep their order."""
        return [entry for entry in self.find_entries(mailbox_id, ("queued",)) if is_kept(entry)]

    def find_waiting(self, mailbox_id: str, number: int, now: int) -> Iterable[MailboxEntry]:
        """Unfinished entries of a mailbox, among them those that its holder may take."""
        return self.find_unfinished(mailbox_id)

    def find_claimable(self, request: ClaimRequest, now: int) -> Iterable[MailboxEntry]:
        """The entries that a claim gets, best first."""
        if request.entry_id is None:
            return choose(self.find_entries(None, UNFINISHED), request, now, self._paused(now))
        entry = self.entries.get(request.entry_id)
        if entry is None:
            return []
        beside = (*self.find_claimed(entry.mailbox_id), *self.find_kept(entry.mailbox_id))
        paused = is_paused(self.mailboxes.get(entry.mailbox_id), now)
        return choose(
            [entry, *(each for each in beside if each is not entry)],
            request,
            now,
            (entry.mailbox_id,) if paused else (),
        )

    def _paused(self, now: int) -> set[str]:
        """The mailboxes that are paused."""
        return {key for key, state in self.mailboxes.items() if is_paused(state, now)}

    def purge(self, ended_before: int, statuses: Collection[EntryStatus]) -> int:
        """Remove the entries that ended in `statuses` before a time, and return their number."""
        ended = self.find_entries(None, statuses)
        old = [entry for entry in ended if entry.updated_at < ended_before]
        for entry in old:
            self.put("entries", entry.entry_id, None)
        return len(old)

    def find_documents(self, keys: KeyRange, order: Order = "asc") -> Iterable[Document]:
        """The documents in a range, by their keys, those that have expired included."""
        first = keys.collection + SEPARATOR
        end = keys.collection + END if keys.before is None else first + keys.before
        found = self._document_keys.between(first + keys.after, end, order)
        return (self.documents[key] for key in found)

    def find_collections(self, first: str) -> Iterable[str]:
        """The names of the collections, `first` or later, that have documents; in order."""
        key = self._document_keys.first(first)
        while key is not None:
            name, _ = split_row_key(key)
            if name >= first:
                yield name
            key = self._document_keys.first(name + END)

    def unreadable_documents(self, keys: KeyRange) -> Iterable[str]:
        """The documents that cannot be read: none, because they are values in memory."""
        return ()

    def damaged_entries(self, mailbox_id: str) -> Iterable[str]:
        """The entries of a mailbox that cannot be read: none that say whose they are."""
        return ()

    def find_expired(self, before: int, limit: int) -> Iterable[Document]:
        """The first `limit` documents that expired before a time (unix milliseconds)."""
        found = (each for each in self.documents.values() if has_expired(each, before))
        return nsmallest(limit, found, key=expiry_order)

    def new_version(self, least: int) -> int:
        """A version that is at least `least` and larger than all that were given out before."""
        return self.versions.next(least)

    def next_due(self, now: int, mailboxes: Ids) -> int | None:
        """When an entry becomes claimable: `now` if one is, None if no entry waits for a time."""
        mailbox_id, among = (mailboxes, None) if isinstance(mailboxes, str) else (None, mailboxes)
        entries = [
            entry
            for entry in self.find_entries(mailbox_id, UNFINISHED)
            if is_in(among, entry.mailbox_id)
        ]
        request = ClaimRequest(consumer="", mailbox_id=mailbox_id)
        if choose(entries, request, now, self._paused(now)):
            return now
        ends = (self.mailboxes[entry.mailbox_id].paused_until for entry in entries)
        times = (*map(due_time, entries), *(end for end in ends if end is not None))
        return min((time for time in times if time > now), default=None)
