"""Large journals, divided by the files that their entries are about, so that not all is in memory.

A share has the entries of some files, in their order. It notes only where their records are.
"""

import zlib
from array import array
from collections.abc import Iterator, Sequence
from contextlib import closing

from treadle.backends.files._entries import Entry, decode_entries, table_of
from treadle.backends.files._journal import Journal, Position
from treadle.backends.files.disk import Disk


class JournalShares:
    """The entries of journals, in shares of about `share_bytes` each.

    Args:
        disk: where the journals are.
        paths: the paths of the journals by their numbers, the oldest first.
        share_bytes: how much a share has, if no file alone has more.
    """

    def __init__(self, disk: Disk, paths: Sequence[tuple[int, str]], share_bytes: int) -> None:
        self._disk = disk
        self._paths = paths
        total = sum(self._size_of(number, path) for number, path in paths)
        self.count = max(1, -(-total // share_bytes))
        self._places: list[array[int]] = []
        """For each share and its records: which journal, the first byte, and the length."""

    def entries(self, share: int) -> Iterator[Entry]:
        """Yield the entries of a share.

        Raises:
            CorruptRecord: a record that had been synced is damaged, or is not what Treadle writes.
        """
        if self.count == 1:
            for _, _, entries in self._read_all():
                yield from entries
            return
        self._find_places()
        for index, start, size in _in_threes(self._places[share]):
            number, path = self._paths[index]
            with closing(Journal(self._disk, path, Position(number))) as journal:
                record = journal.read_at(start, size)
            for entry in decode_entries(record, path):
                if self._share_of(entry) == share:
                    yield entry

    def _find_places(self) -> None:
        if self._places:
            return
        places = [array("Q") for _ in range(self.count)]
        for index, (start, end), entries in self._read_all():
            for share in sorted({self._share_of(entry) for entry in entries}):
                places[share].extend((index, start, end - start))
        self._places = places

    def _read_all(self) -> Iterator[tuple[int, tuple[int, int], Sequence[Entry]]]:
        """Yield all records: which journal, the first byte and the end, and the entries."""
        for index, (number, path) in enumerate(self._paths):
            with closing(Journal(self._disk, path, Position(number))) as journal:
                start = 0
                for record in journal.read_on():
                    yield index, (start, journal.position.end), decode_entries(record, path)
                    start = journal.position.end

    def _share_of(self, entry: Entry) -> int:
        return zlib.crc32(f"{table_of(entry)}/{entry.key}".encode()) % self.count

    def _size_of(self, number: int, path: str) -> int:
        with closing(Journal(self._disk, path, Position(number))) as journal:
            return journal.size()


def _in_threes(numbers: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    following = iter(numbers)
    return zip(following, following, following, strict=True)
