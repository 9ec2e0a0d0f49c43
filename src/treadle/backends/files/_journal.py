"""The journal: a file of checksummed records, one for each batch. A batch in it is committed.

A record is a header and a payload. The header holds a magic number, the checksum of everything
after it, the payload's length, the record's number, the number of its group, and whether its writer
synced it before it went on. A group is what reaches the disk with one sync, so the records after
one that was not synced belong to its group. After a crash the journal ends at the first damaged
record. Usually that is a write which was never acknowledged, or not synced, and it is cut off. But
a group is written only after the group before it was synced. So if a record of a later group
follows the damage, the disk has lost data that it had confirmed, and that is an error.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator

import msgspec

from treadle.backends._forks import give_up_in_children
from treadle.backends.files.disk import Disk
from treadle.errors import CorruptRecord, InvalidValue

_MAGIC = b"TRDL"
_HEADER = struct.Struct(f"<{len(_MAGIC)}sIIQQ?")
_CHECKED = struct.Struct("<IQQ?")
_CHECKED_FROM = _HEADER.size - _CHECKED.size
_LARGEST_PAYLOAD = 2**32 - 1
_TOGETHER = 2**20
"""How many bytes are read or written at a time: a journal would take its size in memory, twice."""
_CHECKS = 8
"""How often each byte after damage is checksummed; headers by chance are rare and name no length
that fits, but a file can be made of them."""


class Position(msgspec.Struct, frozen=True):
    """A point between two records."""

    journal: int
    """The number of the journal file."""
    end: int = 0
    """The offset in the file, in bytes."""
    record: int = 0
    """The number of the last record before it, 0 for none."""
    group: int = 0
    """The number of that record's group, 0 for none."""
    synced: bool = True
    """True if that record was synced before anything was written after it."""

    @property
    def next_group(self) -> int:
        """The group of the next record."""
        return self.group + 1 if self.synced else self.group


class Record(msgspec.Struct, frozen=True):
    """A committed batch."""

    number: int
    group: int
    synced: bool
    payload: bytes


class Journal:
    """One journal file; only the holder of the store's lock may append to it."""

    def __init__(self, disk: Disk, path: str, known: Position) -> None:
        """Open the file at `known`; the records before it are not read."""
        self._disk = disk
        self.path = path
        self._log = disk.open_log(path)
        self._is_open = True
        give_up_in_children(self)
        self.position = known
        """How far this process has read or written."""

    def close(self) -> None:
        """Close the file."""
        self._is_open = False
        self._disk.close_log(self._log)

    def give_up(self) -> None:
        """Close the descriptor of a forked child."""
        if self._is_open:
            self.close()

    def is_lost(self) -> bool:
        """Return True if the file was removed, or is shorter than it was."""
        return self._disk.is_removed(self._log) or (
            self._disk.size_of(self._log) < self.position.end
        )

    def has_news(self) -> bool:
        """Return True if the file is longer than what this process has read or written."""
        return self._disk.size_of(self._log) > self.position.end

    def size(self) -> int:
        """Return the length of the file in bytes."""
        return self._disk.size_of(self._log)

    def read_at(self, start: int, size: int) -> Record:
        """Return a record that was read before, by its first byte and its length.

        Raises:
            CorruptRecord: it is no longer there.
        """
        record = _parse(self._disk.read_log(self._log, start, size), 0)
        if record is None:
            reason = "the record there has changed while the journal was read"
            raise CorruptRecord(f"{self.path} at byte {start}", reason)
        return record

    def read_on(self) -> Iterator[Record]:
        """Yield the records after `position`, which advances; a damaged tail ends them.

        Raises:
            CorruptRecord: a record that had been synced is damaged.
        """
        start, end = self.position.end, self._disk.size_of(self._log)
        data = b""
        while True:
            while record := _parse(data, self.position.end - start):
                self._advance_past(record)
                yield record
            data, start = data[self.position.end - start :], self.position.end
            # Twice as much each time, for a record that is larger than what was read.
            wanted = min(max(len(data), _TOGETHER), end - start - len(data))
            more = self._disk.read_log(self._log, start + len(data), wanted)
            if not more:
                break
            data += more
        self._refuse_lost(data)

    def _advance_past(self, record: Record) -> None:
        self.position = msgspec.structs.replace(
            self.position,
            end=self.position.end + _HEADER.size + len(record.payload),
            record=record.number,
            group=record.group,
            synced=record.synced,
        )

    def cut(self) -> bool:
        """Cut off whatever follows `position`; return True if there was anything."""
        if not self.has_news():
            return False
        self._disk.cut_log(self._log, self.position.end)
        return True

    def append(self, payloads: Iterable[bytes], *, sync: bool) -> None:
        """Write records, which are committed when this returns, and sync them if asked to.

        If it raises, some may follow `position`, and the caller cuts them off.

        Raises:
            InvalidValue: one is larger than a record can be.
        """
        known, group = self.position, self.position.next_group
        frames: list[bytes] = []
        size, end, number = 0, known.end, known.record
        for number, payload in enumerate(payloads, start=known.record + 1):
            if len(payload) > _LARGEST_PAYLOAD:
                reason = f"it takes {len(payload):,} bytes of at most {_LARGEST_PAYLOAD:,}"
                raise InvalidValue("batch", f"{reason}; divide it")
            if size > _TOGETHER:
                self._disk.write_log(self._log, end, b"".join(frames))
                frames, size, end = [], 0, end + size
            rest = _CHECKED.pack(len(payload), number, group, sync)
            checksum = zlib.crc32(payload, zlib.crc32(rest))
            frames += (_MAGIC, checksum.to_bytes(4, "little"), rest, payload)
            size += _HEADER.size + len(payload)
        self._disk.write_log(self._log, end, b"".join(frames))
        if sync:
            self._disk.sync_log(self._log)
        self.position = Position(
            journal=known.journal,
            end=end + size,
            record=number,
            group=group,
            synced=sync,
        )

    def sync(self) -> None:
        """Sync records that another process wrote and may not have synced."""
        self._disk.sync_log(self._log)

    def _refuse_lost(self, rest: bytes) -> None:
        """Raise if the damage at the start of `rest` cannot be an unfinished write."""
        budget = _CHECKS * len(rest)
        start = rest.find(_MAGIC, 1)
        while start >= 0:
            budget -= _length_at(rest, start) or 0
            if budget < 0:
                reason = "it is full of damaged records, and Treadle has not written them"
                raise CorruptRecord(f"{self.path} at byte {self.position.end}", reason)
            record = _parse(rest, start)
            # Another record of the same group proves nothing: they reach the disk in any order.
            if record is not None and record.group > self.position.next_group:
                raise CorruptRecord(
                    f"{self.path} at byte {self.position.end}",
                    f"record {self.position.record + 1} is damaged, but later ones are whole",
                )
            start = rest.find(_MAGIC, start + 1)


def _length_at(data: bytes, start: int) -> int | None:
    """Return the length of the payload at `start`, or None if no whole record can be there."""
    body = start + _HEADER.size
    if body > len(data):
        return None
    magic, _, length, *_ = _HEADER.unpack_from(data, start)
    return length if magic == _MAGIC and body + length <= len(data) else None


def _parse(data: bytes, start: int) -> Record | None:
    """Return the record at `start`, or None if it is damaged or incomplete."""
    length = _length_at(data, start)
    if length is None:
        return None
    body = start + _HEADER.size
    _, checksum, _, number, group, synced = _HEADER.unpack_from(data, start)
    if zlib.crc32(memoryview(data)[start + _CHECKED_FROM : body + length]) != checksum:
        return None
    return Record(number, group, synced, data[body : body + length])
