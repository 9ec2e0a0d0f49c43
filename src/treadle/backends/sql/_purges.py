"""Purges of all mailboxes: what a group deletes without loading it, and how much that is."""

from collections import Counter
from collections.abc import Collection, Iterable

import msgspec

from treadle.core.mailboxes import EntryStatus, MailboxEntry


class EntryPurge(msgspec.Struct, frozen=True):
    """A purge of entries that are not in memory, and their number."""

    ended_before: int
    statuses: tuple[EntryStatus, ...]
    counted: int


class EntryPurges:
    """The purges of one batch, in their order; each deletes what those before it have left."""

    def __init__(self) -> None:
        self.found: dict[int, dict[str, int]] = {}
        """How many entries ended before a time, by status."""
        self.asked: list[EntryPurge] = []
        self._purged: dict[EntryStatus, int] = {}

    def add(
        self, ended_before: int, statuses: Collection[EntryStatus], loaded: Iterable[MailboxEntry]
    ) -> int:
        """Add a purge, and return how many entries it deletes beside those that are `loaded`."""
        twice = Counter(entry.status for entry in loaded if entry.updated_at < ended_before)
        found = self.found[ended_before]
        counts: dict[EntryStatus, int] = {
            status: max(found.get(status, 0) - twice[status] - self._purged.get(status, 0), 0)
            for status in statuses
        }
        for status, count in counts.items():
            self._purged[status] = self._purged.get(status, 0) + count
        total = sum(counts.values())
        self.asked.append(EntryPurge(ended_before, tuple(counts), total))
        return total

    def deletes_any(self) -> bool:
        """Return whether there is an entry to delete."""
        return any(purge.counted for purge in self.asked)

    def clear(self) -> None:
        """Take back the purges of a batch that failed."""
        self.asked.clear()
        self._purged.clear()
