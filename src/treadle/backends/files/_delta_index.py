"""Where the lines of a long delta file are, so that a page of deltas costs what it shows."""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import msgspec

from treadle.backends.files._delta_lines import UNFIT, Line, kept_by, position_in
from treadle.errors import CorruptRecord

_TOGETHER = 2**20
"""How many bytes are read at a time."""
_NO_TIME = -1

ReadParts = Callable[[Sequence[tuple[int, int]]], Sequence[bytes]]
"""Reads parts of a file, each given by its first byte and its length."""


class _Removal(msgspec.Struct, frozen=True, gc=False):
    """The messages that a truncation has removed."""

    version: int
    first: int
    """The position of the first one."""
    end: int
    """The position after the last one."""


class DeltaIndex:
    """The last lines of a delta file, as far back as each follows the one before it."""

    def __init__(self) -> None:
        self._end = 0
        """How many bytes of the file are read."""
        self._version = 0
        self._time: int | None = None
        """What the last line says; as `Line` has it."""
        self._forget()

    def _forget(self) -> None:
        self._is_known = False
        self._starts, self._sizes, self._times = array("Q"), array("Q"), array("q")
        """Of the lines of deltas, whose versions follow each other, and end at the last one."""
        self._removals: list[_Removal] = []
        self._least = array("Q")
        """The first position that each removal, or one after it, has removed."""
        self._kept: Line | None = None

    def __len__(self) -> int:
        return len(self._starts)

    def leads_to(self, version: int, time: int | None) -> bool:
        """Return whether the last line is the one that led to a thread."""
        return self._is_known and (self._version, self._time) == (version, time)

    def read_on(self, read: ReadParts) -> bool:
        """Read what the file has since; return False if it does not follow what was read before."""
        was_known, follows = self._is_known, True
        size = _TOGETHER
        while True:
            [data] = read([(self._end, size)])
            is_last = len(data) < size
            before = self._end
            for line, start, length in self._lines(data, is_last=is_last):
                follows &= self._note(line, start, length)
            if is_last:
                return follows or not was_known
            if self._end == before:  # a line is longer than what was read
                size *= 2

    def _lines(self, data: bytes, *, is_last: bool) -> Iterator[tuple[Line | None, int, int]]:
        """Yield the whole lines of a part of the file, with their places; None: it is damaged."""
        pieces = data.split(b"\n")
        rest = pieces.pop()
        for piece in pieces:
            start, self._end = self._end, self._end + len(piece) + 1
            if piece:
                yield _line_in(piece), start, len(piece)
        if is_last and rest:  # the last one has no end
            start, self._end = self._end, self._end + len(rest)
            yield _line_in(rest), start, len(rest)

    def _note(self, line: Line | None, start: int, size: int) -> bool:
        """Add a line; return False if it is damaged, or does not follow the one before it."""
        if line is None:
            self._forget()
            return False
        is_delta = line.messages is not None
        follows = self._is_known and (line.version - is_delta, line.since) == (
            self._version,
            self._time,
        )
        if not follows:
            self._forget()
        self._is_known, self._version, self._time = True, line.version, line.time
        if is_delta:
            self._starts.append(start)
            self._sizes.append(size)
            self._times.append(_NO_TIME if line.time is None else line.time)
        if line.removed:
            self._note_removal(line)
        return follows

    def _note_removal(self, line: Line) -> None:
        first = kept_by(line)
        self._removals.append(_Removal(line.version, first, first + len(line.removed)))
        self._least.append(first)
        for index in range(len(self._least) - 2, -1, -1):
            if self._least[index] <= first:
                break
            self._least[index] = first

    def lines(self, read: ReadParts, after_version: int, until_version: int) -> list[Line]:
        """Read the lines of the deltas between two versions, and those that their messages need.

        The newest is the first. Lines after `until_version` are truncations, which have removed
        messages that the others name.

        Raises:
            LookupError: they are not all known, or the file has changed.
            CorruptRecord, ValueError: one does not fit.
        """
        found = self._read(read, range(after_version + 1, until_version + 1))
        named = (position_in(each) for line in found for each in line.messages or ())
        removals = self._removals_of({each for each in named if each is not None}, until_version)
        return [*reversed(self._removal_lines(read, removals)), *reversed(found)]

    def _removal_lines(self, read: ReadParts, versions: Sequence[int]) -> list[Line]:
        """Read the lines of truncations; the largest is kept, because many pages may need it."""
        kept = {} if self._kept is None else {self._kept.version: self._kept}
        lines = self._read(read, [each for each in versions if each not in kept])
        found = {each.version: each for each in lines} | kept
        self._kept = max(found.values(), key=lambda each: len(each.removed), default=None)
        return [found[each] for each in versions]

    def _read(self, read: ReadParts, versions: Sequence[int]) -> list[Line]:
        first = self._version + 1 - len(self)
        if versions and versions[0] < first:
            raise LookupError(versions[0])
        indexes = [version - first for version in versions]
        parts = [(self._starts[each], self._sizes[each]) for each in indexes]
        lines = [msgspec.json.decode(data, type=Line) for data in read(parts)]
        for line, version, index in zip(lines, versions, indexes, strict=True):
            time = _NO_TIME if line.time is None else line.time
            if (line.version, time) != (version, self._times[index]):
                raise LookupError(version)
        return lines

    def _removals_of(self, positions: set[int], version: int) -> list[int]:
        """Return the versions of the first truncations after one that removed these messages."""
        found: list[int] = []
        first = bisect_left(self._removals, version + 1, key=lambda each: each.version)
        last = max(positions, default=-1)
        for index, removal in islice(enumerate(self._removals), first, None):
            if last < self._least[index]:  # no later one has removed any of those that are left
                break
            removed = {each for each in positions if removal.first <= each < removal.end}
            if removed:
                found.append(removal.version)
                positions -= removed
                last = max(positions, default=-1)
        return found


def _line_in(data: bytes) -> Line | None:
    """Return the line, or None if it is damaged."""
    try:
        line = msgspec.json.decode(data, type=Line)
        if line.removed:
            kept_by(line)
    except (CorruptRecord, *UNFIT):
        return None
    return line
