"""The journal: checksummed records, one for each batch; what it holds is committed.

A record is a header and a payload. The header holds a magic number, the checksum of all that
follows it, the payload's length, the record's number and the number of its group: the records that
were written and synced together. After a crash the journal ends where the first damaged record
stands. That is a write which was never acknowledged, unless a record of a later group follows: a
group is only written once the one before it is synced, so then the disk has lost what it had
promised, and that is told instead of cut.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence

import msgspec

from treadle.backends.files.disk import Disk
from treadle.errors import CorruptRecord

_MAGIC = b"TRDL"
_HEADER = struct.Struct(f"<{len(_MAGIC)}sIIQQ")
_CHECKED = struct.Struct("<IQQ")
_CHECKED_FROM = _HEADER.size - _CHECKED.size


class Position(msgspec.Struct, frozen=True):
    """A place between two records: which journal file, which byte, and what was before it."""

    journal: int
    end: int = 0
    record: int = 0
    group: int = 0


class Record(msgspec.Struct, frozen=True):
    """A committed batch as the journal holds it."""

    number: int
    group: int
    payload: bytes


class Journal:
    """One journal file, appended to by whoever holds the store's lock."""

    def __init__(self, disk: Disk, path: str, known: Position) -> None:
        """Open the file; what is before `known` is not read again."""
        self._disk = disk
        self.path = path
        self._log = disk.open_log(path)
        self.position = known
        """Up to where this process has read or written."""

    def close(self) -> None:
        """Let go of the file; what was read stays known."""
        self._disk.close_log(self._log)

    def has_news(self) -> bool:
        """Whether the file is longer than what this process knows."""
        return self._disk.size_of(self._log) > self.position.end

    def read_on(self) -> Iterator[Record]:
        """The records behind `position`, which moves with them; damage at the tail ends them.

        Raises:
            CorruptRecord: a record that had been synced is damaged.
        """
        start = self.position.end
        data = self._disk.read_log(self._log, start, self._disk.size_of(self._log) - start)
        while record := _parse(data, self.position.end - start):
            self.position = msgspec.structs.replace(
                self.position,
                end=self.position.end + _HEADER.size + len(record.payload),
                record=record.number,
                group=record.group,
            )
            yield record
        self._refuse_lost(data[self.position.end - start :])

    def cut(self) -> bool:
        """Remove a damaged tail; whether there was one."""
        if not self.has_news():
            return False
        self._disk.cut_log(self._log, self.position.end)
        return True

    def append(self, payloads: Sequence[bytes], *, sync: bool) -> None:
        """Write a group of records, and sync it: when this returns they are committed."""
        known = self.position
        frames = bytearray()
        for number, payload in enumerate(payloads, start=known.record + 1):
            rest = _CHECKED.pack(len(payload), number, known.group + 1)
            checksum = zlib.crc32(payload, zlib.crc32(rest))
            frames += _MAGIC + checksum.to_bytes(4, "little") + rest + payload
        self._disk.write_log(self._log, known.end, frames)
        if sync:
            self._disk.sync_log(self._log)
        self.position = Position(
            journal=known.journal,
            end=known.end + len(frames),
            record=known.record + len(payloads),
            group=known.group + 1,
        )

    def sync(self) -> None:
        """Make what another process wrote, but may not have synced, survive."""
        self._disk.sync_log(self._log)

    def _refuse_lost(self, rest: bytes) -> None:
        """Tell damage that cannot be an unfinished write."""
        place = rest.find(_MAGIC, 1)
        while place >= 0:
            record = _parse(rest, place)
            if record is not None and record.group > self.position.group + 1:
                raise CorruptRecord(
                    f"{self.path} at byte {self.position.end}",
                    f"record {self.position.record + 1} is damaged, but later ones are whole",
                )
            place = rest.find(_MAGIC, place + 1)


def _parse(data: bytes, place: int) -> Record | None:
    """The record at `place`, if it is whole."""
    body = place + _HEADER.size
    if body > len(data):
        return None
    magic, checksum, length, number, group = _HEADER.unpack_from(data, place)
    if magic != _MAGIC or body + length > len(data):
        return None
    if zlib.crc32(memoryview(data)[place + _CHECKED_FROM : body + length]) != checksum:
        return None
    return Record(number, group, data[body : body + length])
