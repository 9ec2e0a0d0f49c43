"""The rows that a group of batches touches, as tables to which the rules are applied.

They are read under the transaction's locks before any batch is applied, and what the batches
changed is written afterwards: two steps for any number of commands. Whoever asks for a row that was
not read has found a gap in `footprint`, and gets an error instead of a wrong answer.
"""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from treadle.backends.memory.tables import Change, Row, StoredThread, TableName, Tables
from treadle.backends.sql.footprint import Footprint
from treadle.backends.sql.program import Row as DatabaseRow
from treadle.backends.sql.rows import read_entry, read_json, read_mailbox, read_run
from treadle.core.mailboxes import MailboxEntry, MailboxState, is_terminal
from treadle.core.messages import Message
from treadle.core.runs import RunRecord
from treadle.core.threads import Thread, ThreadHead

RowT = TypeVar("RowT")


class Gathered(dict[str, RowT]):
    """Rows by id, of which those in `asked` were read."""

    def __init__(self, asked: Iterable[str]) -> None:
        super().__init__()
        self.asked = set(asked)

    def get(self, key: str, default: RowT | None = None) -> RowT | None:  # type: ignore[override]
        """The row, or None if there is none."""
        if key not in self.asked and not super().__contains__(key):
            raise AssertionError(f"row {key!r} was not read before it was asked for")
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        return self.get(str(key)) is not None


class Overtaken(LookupError):
    """An entry came into being after its mailbox was looked for, so it is not locked: try again."""


class WorkingSet(Tables):
    """Rows of the database, before and after; of threads the head, and messages met again."""

    def __init__(self, footprint: Footprint) -> None:
        super().__init__()
        self._footprint = footprint
        self._threads: Gathered[StoredThread] = Gathered(footprint.threads)
        self._runs: Gathered[RunRecord] = Gathered(footprint.runs | {""})
        self._entries: Gathered[MailboxEntry] = Gathered(footprint.entries)
        self._mailboxes: Gathered[MailboxState] = Gathered(footprint.mailboxes)
        self.threads = self._threads
        self.runs = self._runs
        self.entries = self._entries
        self.mailboxes = self._mailboxes
        self.counts: dict[str, tuple[int, int]] = {}
        """How many messages and patches each thread has had written."""
        self.ended: dict[int, int] = {}
        """How many entries that were not asked for by id ended before a time."""
        self.purged_before: list[int] = []
        self.purged = 0
        """How many entries that are not here are to be purged."""
        self._as_read: dict[tuple[TableName, str], Row] = {}
        self._touched: dict[tuple[TableName, str], None] = {}
        self._duplicates: dict[tuple[str, str], MailboxEntry] = {}
        self._claimed: dict[str, dict[str, MailboxEntry]] = {}

    def fill(self, names: Iterable[str], answers: Iterable[list[DatabaseRow]]) -> None:
        """Take in what the queries of the footprint have brought."""
        found = dict(zip(names, answers, strict=True))
        known: dict[str, list[Message]] = {}
        for thread_id, message_id in found.get("load_message_ids", ()):
            known.setdefault(thread_id, []).append(
                Message(id=read_json(message_id), role="user", content="")
            )
        for row in found.get("load_threads_for_update", ()):
            _, thread_id, version, _, message_count, patch_count = row
            thread = Thread(id=thread_id, messages=tuple(known.get(thread_id, ())))
            self.counts[thread_id] = (message_count, patch_count)
            self._read(
                "threads", thread_id, StoredThread(ThreadHead(thread=thread, version=version))
            )
        for (body,) in found.get("load_runs_for_update", ()):
            run = read_run(body)
            self._read("runs", run.run_id, run)
        for row in found.get("load_mailboxes_for_update", ()):
            state = read_mailbox(row)
            self._read("mailboxes", state.mailbox_id, state)
        for name in (
            "load_entries",
            "load_claimed_beside",
            "load_duplicates",
            "load_unfinished",
        ):
            for row in found.get(name, ()):
                entry = read_entry(row)
                if not dict.__contains__(self._mailboxes, entry.mailbox_id):
                    raise Overtaken(entry.mailbox_id)
                if not dict.__contains__(self._entries, entry.entry_id):
                    self._read("entries", entry.entry_id, entry)

    def replace(self, table: TableName, key: str, before: Row | None, after: Row | None) -> None:
        """Carry out a change, and remember that there was one."""
        super().replace(table, key, before, after)
        self._touched[table, key] = None
        if table == "entries":
            self._index(before, after)

    def find_duplicate(self, mailbox_id: str, dedupe_key: str) -> MailboxEntry | None:
        """The entry through which the mailbox has seen `dedupe_key`."""
        return self._duplicates.get((mailbox_id, dedupe_key))

    def find_claimed(self, mailbox_id: str) -> Iterable[MailboxEntry]:
        """Those of a mailbox's entries that are here and claimed."""
        return tuple(self._claimed.get(mailbox_id, {}).values())

    def purge(self, older_than: int) -> int:
        """Take away what ended long ago; of what is not here, it is remembered to be done."""
        here = super().purge(older_than)
        met = sum(self._met_by_chance(row, older_than) for row in self._as_read.values())
        elsewhere = max(self.ended[older_than] - met - self.purged, 0)
        self.purged += elsewhere
        self.purged_before.append(older_than)
        return here + elsewhere

    def rollback(self) -> None:
        """Take back what the batch has changed so far."""
        super().rollback()
        self.purged_before.clear()
        self.purged = 0

    def changes(self) -> Iterator[Change]:
        """What is not as it was read, in the order of first touch."""
        for table, key in self._touched:
            before = self._as_read.get((table, key))
            after = dict.get(getattr(self, table), key)
            if before is not after:
                yield Change(table, key, before, after)

    def _read(self, table: TableName, key: str, row: Row) -> None:
        rows: Gathered[Row] = getattr(self, table)
        rows.asked.add(key)
        rows[key] = row
        self._as_read[table, key] = row
        if table == "entries":
            self._index(None, row)
            assert isinstance(row, MailboxEntry)  # noqa: S101
            self._mailboxes.asked.add(row.mailbox_id)

    def _met_by_chance(self, row: Row, older_than: int) -> bool:
        """Whether it is an entry that ended before a time, and was asked for in another way."""
        if not isinstance(row, MailboxEntry) or row.entry_id in self._footprint.entries:
            return False
        return is_terminal(row) and row.updated_at < older_than

    def _index(self, before: Row | None, after: Row | None) -> None:
        if isinstance(before, MailboxEntry):
            self._claimed.get(before.mailbox_id, {}).pop(before.entry_id, None)
            if before.dedupe_key is not None:
                self._duplicates.pop((before.mailbox_id, before.dedupe_key), None)
        if isinstance(after, MailboxEntry):
            if after.status == "claimed":
                self._claimed.setdefault(after.mailbox_id, {})[after.entry_id] = after
            if after.dedupe_key is not None:
                self._duplicates[after.mailbox_id, after.dedupe_key] = after
