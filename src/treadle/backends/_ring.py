"""A ring of records in a file that many processes have open: one writes, all read the last ones.

Nothing is synced, and a reader takes no lock. A checksum shows it what was overwritten.
"""

import os
import struct
import zlib
from functools import partial
from threading import Lock

_END = struct.Struct("<Q")
_HEADER = struct.Struct("<IQI")
"""The header of a record: its length, the position at which it begins, and the checksum of the
payload."""
_LAST_END = 2**63
_HAS_PREAD = hasattr(os, "pread")
"""False on Windows."""


class Ring:
    """The part of a file that holds the last records.

    A position counts all bytes that were ever written into the ring. Only the holder of a lock may
    write.

    Args:
        descriptor: the file.
        seeking: is held while the file is read or written.
        start: where in the file the ring is.
        capacity: its size in bytes; a record must be much smaller.
    """

    def __init__(self, descriptor: int, seeking: Lock, *, start: int, capacity: int) -> None:
        self._descriptor = descriptor
        self._seeking = seeking
        # Every commit reads once and writes twice.
        self._read = partial(os.pread, descriptor) if _HAS_PREAD else self._seek_and_read
        self._write = partial(os.pwrite, descriptor) if _HAS_PREAD else self._seek_and_write
        self._end_at = start
        self._start = start + _END.size
        self._capacity = capacity

    def end(self) -> int:
        """The position after the last record."""
        data = self._read(_END.size, self._end_at)
        return _END.unpack(data)[0] if len(data) == _END.size else 0

    def append(self, payload: bytes) -> None:
        """Write a record."""
        end = self.end()
        if end > _LAST_END:  # somebody else wrote it
            end = 0
        record = _HEADER.pack(len(payload), end, zlib.crc32(payload)) + payload
        at = end % self._capacity
        room = self._capacity - at
        self._write(record[:room], self._start + at)
        if len(record) > room:
            self._write(record[room:], self._start)
        self._write(_END.pack(end + len(record)), self._end_at)

    def since(self, position: int) -> tuple[int, list[bytes] | None]:
        """Return the present end, and the records from `position` to there; None: some are lost."""
        end = self.end()
        if end == position:
            return end, []
        if not position < end <= position + self._capacity:
            return end, None
        at = position % self._capacity
        size = end - position
        data = self._read(min(size, self._capacity - at), self._start + at)
        if len(data) < size:
            data += self._read(size - len(data), self._start)
        return end, _records_in(data, position)

    def clear(self) -> None:
        """Write zeros over all records; readers take them as lost."""
        size = min(os.fstat(self._descriptor).st_size - self._start, self._capacity)
        if size > 0:
            self._write(bytes(size), self._start)

    def _seek_and_read(self, size: int, start: int) -> bytes:
        with self._seeking:
            os.lseek(self._descriptor, start, os.SEEK_SET)
            return os.read(self._descriptor, size)

    def _seek_and_write(self, data: bytes, start: int) -> int:
        with self._seeking:
            os.lseek(self._descriptor, start, os.SEEK_SET)
            return os.write(self._descriptor, data)


def _records_in(data: bytes, position: int) -> list[bytes] | None:
    """The payloads of the records in `data`, the first of which begins at `position`."""
    payloads: list[bytes] = []
    start = 0
    while start < len(data):
        body = start + _HEADER.size
        if body > len(data):
            return None
        size, written_at, checksum = _HEADER.unpack_from(data, start)
        payload = data[body : body + size]
        # Another process may have overwritten it, or not have written all of it.
        if written_at != position + start or zlib.crc32(payload) != checksum:
            return None
        payloads.append(payload)
        start = body + size
    return payloads
