"""Hints from process to process, in a file that all of them have open: the last ones, in a ring.

Nothing is synced and nothing is locked for a reader. If what it reads is not what was written, it
takes that as "anything may have changed".
"""

import asyncio
import os
import struct
import zlib
from collections.abc import Callable, Collection, Iterable
from threading import Lock

import msgspec

from treadle.backends._hints import MOST_HINTS, Hints
from treadle.backends._watch import Watch
from treadle.core.hints import ANYTHING, Hint, HintKind
from treadle.errors import TreadleError

_OFFSET = 64
"""The file begins with other things, which its owner writes."""
_CAPACITY = 64 * 1024
_END = struct.Struct("<Q")
_HEADER = struct.Struct("<IQI")
"""Of a record: its length, the position at which it begins, and the checksum of the rest."""
_START = _OFFSET + _END.size
_LARGEST = _CAPACITY // 4
_LAST_END = 2**63
_DOUBT_SECONDS = 0.05
"""After this time nobody writes the hints of a commit any longer who has not died."""
_Pairs = tuple[tuple[HintKind, str | None], ...]


class HintRing:
    """The part of a file that holds the hints of the last commits of all processes.

    A position counts all bytes that were ever written into the ring. Only the holder of the store's
    lock may write.

    Args:
        descriptor: the file.
        seeking: is held while the file is read or written.
    """

    def __init__(self, descriptor: int, seeking: Lock) -> None:
        self._descriptor = descriptor
        self._seeking = seeking

    def end(self) -> int:
        """The position behind the last record."""
        data = self._read(_OFFSET, _END.size)
        return _END.unpack(data)[0] if len(data) == _END.size else 0

    def append(self, hints: Collection[Hint]) -> None:
        """Write the hints of a commit, after it."""
        end = self.end()
        if end > _LAST_END:  # somebody else wrote it
            end = 0
        record = _record(end, hints)
        at = end % _CAPACITY
        first = record[: _CAPACITY - at]
        self._write(_START + at, first)
        if len(first) < len(record):
            self._write(_START, record[len(first) :])
        self._write(_OFFSET, _END.pack(end + len(record)))

    def since(self, position: int) -> tuple[int, set[Hint]]:
        """Return the present end, and the hints from `position` to there."""
        end = self.end()
        if end == position:
            return end, set()
        if not position < end <= position + _CAPACITY:
            return end, {ANYTHING}
        at = position % _CAPACITY
        size = end - position
        data = self._read(_START + at, min(size, _CAPACITY - at))
        if len(data) < size:
            data += self._read(_START, size - len(data))
        return end, _hints_in(data, position)

    def _read(self, start: int, size: int) -> bytes:
        with self._seeking:
            os.lseek(self._descriptor, start, os.SEEK_SET)
            return os.read(self._descriptor, size)

    def _write(self, start: int, data: bytes) -> None:
        with self._seeking:
            os.lseek(self._descriptor, start, os.SEEK_SET)
            os.write(self._descriptor, data)


class RingHints(Hints):
    """Hints that come from a ring.

    Args:
        watch: its position changes with the ring and with `version`.
        ring: returns the ring; None once the store is closed.
        version: changes with each commit, also of a process that dies before it gives its hints.
    """

    def __init__(
        self,
        watch: Watch,
        ring: Callable[[], HintRing | None],
        version: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(self._begin, lambda: watch.stop(self._hear))
        self._watch = watch
        self._ring = ring
        self._version = version
        self._heard = 0
        self._explained: object = None
        """The version up to which the hints have been heard."""
        self._in_doubt = False

    def _begin(self) -> None:
        self._hear()  # what there is, so that later hints are those of later commits
        self._watch.start(self._hear)

    def _hear(self) -> None:
        ring = self._ring()
        if ring is None:
            return
        try:
            version = self._version()
            end, hints = ring.since(self._heard)
        except (OSError, TreadleError) as error:
            self.fail(error)
            return
        if end == self._heard and version != self._explained:
            if not self._in_doubt:
                # A process gives its hints just after its commit: wait for them.
                self._in_doubt = True
                asyncio.get_running_loop().call_later(_DOUBT_SECONDS, self._hear)
                return
            hints = {ANYTHING}
        self._heard, self._explained, self._in_doubt = end, version, False
        self.give(hints)


def _record(position: int, hints: Collection[Hint]) -> bytes:
    given = hints if len(hints) <= MOST_HINTS else (ANYTHING,)
    payload = _payload(given)
    if len(payload) > _LARGEST:
        payload = _payload((ANYTHING,))
    return _HEADER.pack(len(payload), position, zlib.crc32(payload)) + payload


def _payload(hints: Iterable[Hint]) -> bytes:
    return msgspec.json.encode([(hint.kind, hint.id) for hint in hints])


def _hints_in(data: bytes, position: int) -> set[Hint]:
    """The hints of the records in `data`, the first of which begins at `position`."""
    hints: set[Hint] = set()
    start = 0
    while start < len(data):
        body = start + _HEADER.size
        if body > len(data):
            return {ANYTHING}
        size, written_at, checksum = _HEADER.unpack_from(data, start)
        payload = data[body : body + size]
        # Another process may have written over it, or not everything of it.
        if written_at != position + start or zlib.crc32(payload) != checksum:
            return {ANYTHING}
        try:
            pairs = msgspec.json.decode(payload, type=_Pairs)
        except msgspec.DecodeError:
            return {ANYTHING}
        hints.update(Hint(kind=kind, id=name) for kind, name in pairs)
        start = body + size
    return hints
