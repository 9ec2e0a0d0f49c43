"""The places of a collection's documents, saved beside its file so that it need not be parsed.

Nothing depends on a saved index, and it is not synced. It is valid if it is complete, and if the
file still begins with the bytes that it was made from. See docs/decisions/0032.
"""

import zlib
from typing import TypeAlias

import msgspec

from treadle.core.limits import Count

_CHECKSUM = 9
"""The bytes of the first line: the checksum of all that follows."""
_Size: TypeAlias = Count


class SavedIndex(msgspec.Struct, frozen=True):
    """Where the first bytes of a collection's file have its documents."""

    size: _Size
    """How many bytes of the file these are."""
    checksum: int
    """Of these bytes."""
    keys: list[str]
    """The joined keys."""
    starts: list[_Size]
    """Where the line of each begins."""
    sizes: list[_Size]
    """The length of each line, without its end."""
    expiring: dict[str, int]
    """When documents expire, of those that do."""

    def fits(self, content: bytes) -> bool:
        """Return True if it was made from the beginning of a file with this content."""
        return (
            len(self.keys) == len(self.starts) == len(self.sizes)
            and 0 < self.size <= len(content)
            # A place beyond the file would take memory for what cannot be read.
            and max(self.starts, default=0) + max(self.sizes, default=0) <= 2 * self.size
            and content[self.size - 1] == ord("\n")
            and zlib.crc32(memoryview(content)[: self.size]) == self.checksum
        )


def write_saved(index: SavedIndex) -> bytes:
    """Return the content of the file of an index."""
    data = msgspec.json.encode(index)
    return b"%08x\n" % zlib.crc32(data) + data


def read_saved(data: bytes, content: bytes) -> SavedIndex | None:
    """Return the index in a file, or None if it is not valid.

    Args:
        data: the content of its file.
        content: the content of the collection's file.
    """
    body = memoryview(data)[_CHECKSUM:]
    if data[:_CHECKSUM] != b"%08x\n" % zlib.crc32(body):
        return None
    try:
        index = msgspec.json.decode(body, type=SavedIndex)
    except (ValueError, RecursionError):
        return None
    return index if index.fits(content) else None
