"""The model's data: four dictionaries, and a log that takes an unfinished batch back."""

from collections.abc import Iterable, MutableMapping
from typing import Literal, TypeAlias, cast

import msgspec

from treadle.core.mailboxes import (
    TERMINAL,
    ClaimRequest,
    EntryStatus,
    MailboxEntry,
    MailboxState,
    choose,
    due_time,
    has_live_lease,
)
from treadle.core.runs import RunRecord
from treadle.core.threads import ThreadDelta, ThreadHead

TableName = Literal["threads", "runs", "entries", "mailboxes"]


class History(msgspec.Struct, frozen=True, eq=False):
    """A thread's last delta and those before it: a list that grows without being copied."""

    delta: ThreadDelta
    before: "History | None"


class StoredThread(msgspec.Struct, frozen=True, eq=False):
    """A thread with the deltas since it was created, saved or first loaded."""

    head: ThreadHead
    history: History | None = None
    origin: object = msgspec.field(default_factory=object)
    """The creation, save or loading from which only appends have led here; by identity."""


Row: TypeAlias = StoredThread | RunRecord | MailboxEntry | MailboxState


def all_deltas(history: History | None) -> tuple[ThreadDelta, ...]:
    """The deltas of a history, oldest first."""
    deltas: list[ThreadDelta] = []
    while history is not None:
        deltas.append(history.delta)
        history = history.before
    return tuple(reversed(deltas))


def deltas_since(
    history: History | None, after_version: int, version: int
) -> tuple[ThreadDelta, ...] | None:
    """The last `version - after_version` deltas of a history, or None if it is shorter."""
    if not 0 <= after_version <= version:
        return None
    deltas = all_deltas(history)
    wanted = version - after_version
    return deltas[len(deltas) - wanted :] if wanted <= len(deltas) else None


class Change(msgspec.Struct, frozen=True, eq=False):
    """A row as it was before a batch (None: not there) and as it is after."""

    table: TableName
    key: str
    before: Row | None
    after: Row | None


def deltas_of(change: Change) -> tuple[ThreadDelta, ...] | None:
    """What a batch appended to a thread; None if it did more than that."""
    before, after = change.before, change.after
    if not isinstance(before, StoredThread) or not isinstance(after, StoredThread):
        return None
    if before.origin is not after.origin:  # deleted and created again, perhaps at such a version
        return None
    return deltas_since(after.history, before.head.version, after.head.version)


class Tables:
    """All rows. Rows are frozen: a change puts another in its place, within `begin` … `commit`."""

    def __init__(self) -> None:
        self.threads: MutableMapping[str, StoredThread] = {}
        self.runs: MutableMapping[str, RunRecord] = {}
        self.entries: MutableMapping[str, MailboxEntry] = {}
        self.mailboxes: MutableMapping[str, MailboxState] = {}
        self._before: dict[tuple[TableName, str], Row | None] = {}

    def put(self, table: TableName, key: str, row: Row | None) -> None:
        """Let `row` stand at `key`; None takes away what is there."""
        rows = cast("MutableMapping[str, Row]", getattr(self, table))
        before = rows.get(key)
        self._before.setdefault((table, key), before)
        self.replace(table, key, before, row)

    def replace(self, table: TableName, key: str, before: Row | None, after: Row | None) -> None:
        """Carry out a change; those who keep an index update it here."""
        rows = cast("MutableMapping[str, Row]", getattr(self, table))
        if after is not None:
            rows[key] = after
        elif before is not None:
            del rows[key]

    def commit(self) -> list[Change]:
        """End the batch; what it changed, in the order of first touch."""
        changes = [
            Change(table, key, before, getattr(self, table).get(key))
            for (table, key), before in self._before.items()
        ]
        self._before.clear()
        return [change for change in changes if change.before is not change.after]

    def rollback(self) -> None:
        """Take back what the batch has changed so far."""
        for (table, key), before in reversed(self._before.items()):
            now = getattr(self, table).get(key)
            if now is not before:
                self.replace(table, key, now, before)
        self._before.clear()

    def find_thread_ids(self, resource_id: str | None, parent_thread_id: str | None) -> list[str]:
        """The ids of the threads with these labels; None is any."""
        return [
            key
            for key, stored in self.threads.items()
            if resource_id in (None, stored.head.thread.resource_id)
            and parent_thread_id in (None, stored.head.thread.parent_thread_id)
        ]

    def find_deltas(self, thread_id: str, after_version: int) -> tuple[ThreadDelta, ...] | None:
        """The deltas of a thread since `after_version`; None if they do not reach back."""
        stored = self.threads[thread_id]
        return deltas_since(stored.history, after_version, stored.head.version)

    def find_duplicate(self, mailbox_id: str, dedupe_key: str) -> MailboxEntry | None:
        """The entry through which the mailbox has seen `dedupe_key`."""
        for entry in self.entries.values():
            if entry.mailbox_id == mailbox_id and entry.dedupe_key == dedupe_key:
                return entry
        return None

    def find_entries(self, mailbox_id: str | None, *statuses: EntryStatus) -> list[MailboxEntry]:
        """The entries of one mailbox or of all, in any of the `statuses`."""
        return [
            entry
            for entry in self.entries.values()
            if (mailbox_id is None or entry.mailbox_id == mailbox_id) and entry.status in statuses
        ]

    def find_claimable(self, request: ClaimRequest, now: int) -> Iterable[MailboxEntry]:
        """The entries a claim gets, best first."""
        return choose(self.entries.values(), request, now)

    def purge(self, older_than: int) -> int:
        """Take away entries that ended before `older_than`; how many there were."""
        ended = self.find_entries(None, *TERMINAL)
        old = [entry for entry in ended if entry.updated_at < older_than]
        for entry in old:
            self.put("entries", entry.entry_id, None)
        return len(old)

    def find_claimed(self, mailbox_id: str) -> Iterable[MailboxEntry]:
        """The entries of a mailbox that are claimed, whether their leases run or not."""
        return self.find_entries(mailbox_id, "claimed")

    def is_held(self, mailbox_id: str, now: int) -> bool:
        """Whether an entry of the mailbox has a live lease."""
        return any(has_live_lease(entry, now) for entry in self.find_claimed(mailbox_id))

    def next_due(self, now: int, mailbox_id: str | None) -> int | None:
        """When something may become claimable: `now` if it is, None if nothing waits for time."""
        entries = self.find_entries(mailbox_id, "queued", "claimed")
        if choose(entries, ClaimRequest(consumer="", mailbox_id=mailbox_id), now):
            return now
        return min((time for entry in entries if (time := due_time(entry)) > now), default=None)
