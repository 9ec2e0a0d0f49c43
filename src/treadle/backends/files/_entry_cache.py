"""The rows of entries; ended ones are packed, and only the last of them are in memory."""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from treadle.backends.files._cache import RowCache, row_reader
from treadle.backends.files.json_files import JsonFiles
from treadle.backends.model.groups import Groups
from treadle.backends.model.tables import Put
from treadle.core.mailboxes import STATUSES, EntryStatus, MailboxEntry, is_terminal

_FIELDS = MailboxEntry.__struct_fields__
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[Any]).decode


class EntryCache(RowCache[MailboxEntry]):
    """Entries. Those that have not ended stay in memory, for the index of mailboxes.

    The last ones that have ended are rows, for listings; those before them are packed, and those
    before these are read when somebody asks for them.

    Args:
        files: the JSON files of the store.
        put: puts a row into the table.
        most: how many entries that have ended stay rows.
        budget: how many bytes are kept of others that have ended; the oldest leave first.
    """

    def __init__(self, files: JsonFiles, put: Put[MailboxEntry], most: int, budget: int) -> None:
        read = row_reader(files, "entries", MailboxEntry)
        super().__init__(files, "entries", put, read, limit=0)
        self._most = most
        self._budget = budget
        self._ended: OrderedDict[str, bytes] = OrderedDict()
        self._total = 0
        self._peak = 0
        """The largest number of rows since their dictionary was made."""
        self._unpacked: OrderedDict[str, None] = OrderedDict()
        """Ended entries that are still rows; the one that ended first is the first."""
        self._by_mailbox: Groups | None = None
        """All entries, once somebody has asked for those of a mailbox; some may be gone."""
        self._gone = 0
        """How many of them are gone, at most."""
        self._without_mailbox: set[str] = set()
        """Those of which it is not known, because they cannot be read, or were not yet."""
        self.has_unfinished = False
        """True if the index has read all entries: those that have not ended are in memory.

        Then a JSON file that says otherwise is ahead of what was followed, and must not become a
        row before its time.
        """

    def __setitem__(self, key: str, row: MailboxEntry) -> None:
        self._drop(key)
        super().__setitem__(key, row)
        if self._by_mailbox is not None:
            self._by_mailbox.add(row.mailbox_id, key)

    def __delitem__(self, key: str) -> None:
        self._drop(key)
        super().__delitem__(key)
        self._gone += 1

    def __contains__(self, key: object) -> bool:
        return key in self._ended or super().__contains__(key)

    def cached(self, key: str) -> MailboxEntry | None:
        """Return the row if it is in memory."""
        packed = self._ended.get(key)
        return super().cached(key) if packed is None else _entry_of(packed)

    def forget(self, key: str, *, present: bool) -> None:
        """Drop a row that another process has written or removed; it is read again when needed."""
        self._drop(key)
        super().forget(key, present=present)
        self._gone += not present
        if present and self._by_mailbox is not None:
            self._without_mailbox.add(key)

    def mark_written(self, key: str) -> None:
        """Note that the JSON file of a row is written, or removed."""
        row = self._rows.get(key)
        if row is None:
            super().mark_written(key)
        elif is_terminal(row):
            self._unpacked[key] = None

    def evict(self) -> None:
        """Pack and drop the entries that ended first. Call it between batches only."""
        while len(self._unpacked) > self._most:
            key, _ = self._unpacked.popitem(last=False)
            row = self._rows.get(key)
            if row is not None and is_terminal(row):
                del self._rows[key]
                self._keep(key, row)
        self._peak = max(self._peak, len(self._rows))
        if self._peak > 4 * len(self._rows) + 10_000:  # what was removed takes memory still
            self._rows, self._peak = OrderedDict(self._rows), len(self._rows)
        while self._total > self._budget:
            _, packed = self._ended.popitem(last=False)
            self._total -= len(packed)

    def matching(
        self, mailbox_id: str | None, statuses: Iterable[EntryStatus]
    ) -> Iterator[MailboxEntry]:
        """Yield the entries of a mailbox, or of all, in one of the statuses, except damaged ones.

        Each is read when it is its turn: together they may not fit into memory.
        """
        wanted = frozenset(statuses)
        numbers = {STATUSES.index(status) for status in wanted}
        mailbox = b"" if mailbox_id is None else mailbox_id.encode()
        for key in list(self) if mailbox_id is None else self._keys_of(mailbox_id):
            packed = self._ended.get(key)
            if packed is not None and not (packed[0] in numbers and mailbox in packed):
                continue  # it need not be unpacked
            row = self._read_or_note(key, self._look)
            if row is not None and row.status in wanted and mailbox_id in (None, row.mailbox_id):
                yield row

    def _keys_of(self, mailbox_id: str) -> list[str]:
        """The ids of the entries that are in a mailbox, or may be."""
        if self._by_mailbox is None:
            self._by_mailbox, self._gone = Groups(), 0
            self._without_mailbox = set(self)
        elif self._gone > len(self) + 10_000:
            known, self._by_mailbox, self._gone = self._by_mailbox, Groups(), 0
            for mailbox, key in known.items():
                if key in self:
                    self._by_mailbox.add(mailbox, key)
        for key in (*self._without_mailbox, *self._damaged):
            row = self._read_or_note(key, self._look) if key in self else None
            if row is not None:
                self._by_mailbox.add(row.mailbox_id, key)
            if row is not None or key not in self:
                self._without_mailbox.discard(key)
        return [key for key in self._by_mailbox.of(mailbox_id) if key in self]

    def counts(self) -> Mapping[EntryStatus, int]:
        """Return how many entries there are in each status, except damaged ones."""
        found: Counter[EntryStatus] = Counter()
        for key in list(self):
            packed = self._ended.get(key)
            row = None if packed is not None else self._read_or_note(key, self._look)
            if packed is not None:
                found[STATUSES[packed[0]]] += 1
            elif row is not None:
                found[row.status] += 1
        return found

    def _look(self, key: str) -> MailboxEntry | None:
        return self._rows[key] if key in self._rows else self._load(key)

    def _load(self, key: str) -> MailboxEntry | None:
        packed = self._ended.get(key)
        if packed is not None:
            return _entry_of(packed)
        row = self._fetch(key)
        if row is None:
            return None
        if is_terminal(row):
            if len(self._unpacked) < self._most:
                self._rows[key], self._unpacked[key] = row, None
            elif self._total < self._budget:
                self._keep(key, row)
        elif not self.has_unfinished:
            self._rows[key] = row
        return row

    def _keep(self, key: str, row: MailboxEntry) -> None:
        number = STATUSES.index(row.status).to_bytes()
        packed = self._ended[key] = number + _pack(msgspec.structs.astuple(row))
        self._total += len(packed)

    def _drop(self, key: str) -> None:
        self._unpacked.pop(key, None)
        packed = self._ended.pop(key, None)
        if packed is not None:
            self._total -= len(packed)


def _entry_of(packed: bytes) -> MailboxEntry:
    return MailboxEntry(**dict(zip(_FIELDS, _unpack(memoryview(packed)[1:]), strict=True)))
