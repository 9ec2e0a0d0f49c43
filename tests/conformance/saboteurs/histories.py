"""Sabotage that every named check lets pass, and only random histories find."""

from typing import Any

from msgspec.structs import replace

from tests.conformance.saboteurs.saboteur import on_tables
from weft.backends.memory.backend import MemoryBackend
from weft.backends.memory.tables import StoredThread, Tables
from weft.core.mailboxes import (
    EntryPage,
    EntryQuery,
    MailboxEntry,
)
from weft.testing.subject import Subject


class StaleIndex(Tables):
    """Keeps the dedupe keys of a batch that was taken back in its index."""

    def __init__(self) -> None:
        super().__init__()
        self._keys: dict[tuple[str, str | None], MailboxEntry] = {}

    def put(self, table: Any, key: str, row: Any) -> None:
        super().put(table, key, row)
        if isinstance(row, MailboxEntry):
            self._keys[row.mailbox_id, row.dedupe_key] = row

    def find_duplicate(self, mailbox_id: str, dedupe_key: str) -> MailboxEntry | None:
        found = super().find_duplicate(mailbox_id, dedupe_key)
        stale = self._keys.get((mailbox_id, dedupe_key))
        purged = stale is not None and stale.status in ("accepted", "superseded", "cancelled")
        return found or (None if purged else stale)


class Haunted(Tables):
    """Skips messages that a thread had before it was deleted and created anew in the same batch."""

    def put(self, table: Any, key: str, row: Any) -> None:
        before = self._before.get(("threads", key)) if table == "threads" else None
        if isinstance(row, StoredThread) and isinstance(before, StoredThread):
            row = self._haunted(row, before)
        super().put(table, key, row)

    def _haunted(self, row: StoredThread, before: StoredThread) -> StoredThread:
        if row.origin is before.origin or row.history is None:
            return row
        known = {message.id for message in before.head.thread.messages if message.id}
        messages = tuple(m for m in row.head.thread.messages if m.id not in known)
        thread = replace(row.head.thread, messages=messages)
        return replace(row, head=replace(row.head, thread=thread))


class Snapshotted(Tables):
    """Does not find, when it ends a mailbox's work, what its own batch has put there."""

    def find_entries(self, mailbox_id: str | None, *statuses: Any) -> list[MailboxEntry]:
        new = {key for (table, key), row in self._before.items() if row is None}
        found = super().find_entries(mailbox_id, *statuses)
        return [entry for entry in found if entry.entry_id not in new]


class Ascii(MemoryBackend):
    """Finds no mailbox whose name has an accent when it lists."""

    async def list_entries(self, query: EntryQuery) -> EntryPage:
        page = await super().list_entries(query)
        kept = tuple(entry for entry in page.items if entry.mailbox_id.isascii())
        return replace(page, items=kept)


ONLY_BY_HISTORIES: dict[str, Subject] = {
    "StaleIndex": Subject(make=on_tables(StaleIndex)),
    "Haunted": Subject(make=on_tables(Haunted)),
    "Snapshotted": Subject(make=on_tables(Snapshotted)),
    "Ascii": Subject(make=lambda place, clock: Ascii(clock)),
}
"""Backends that pass every named check."""
