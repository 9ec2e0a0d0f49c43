"""The files of documents: one for each collection, a line for each write, the newest last."""

import logging
import os
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import msgspec

from treadle.backends._plain_files import NotPlainFile
from treadle.backends.files._names import check_file_name, read_file
from treadle.backends.files._saved_index import SavedIndex, read_saved, write_saved
from treadle.backends.files.disk import Bytes, Disk
from treadle.core.ids import is_id
from treadle.errors import CorruptRecord

_log = logging.getLogger(__name__)
_SUFFIX = ".jsonl"
_INDEX_SUFFIX = ".index"
_FOLDER = os.path.join("_treadle", "documents")


class Lines(msgspec.Struct, frozen=True, tag="lines", array_like=True):
    """A journal entry: lines are written into the file of a collection, beginning at a byte."""

    key: str
    """The name of the collection."""
    start: int
    lines: tuple[msgspec.Raw, ...]


class Whole(msgspec.Struct, frozen=True, tag="whole", array_like=True):
    """A journal entry: the file of a collection is replaced; without lines it is removed."""

    key: str
    """The name of the collection."""
    lines: tuple[msgspec.Raw, ...]


Span: TypeAlias = tuple[int, int]
"""The bytes of a line in a file: where it begins, and its length without its end."""


class CollectionChange(msgspec.Struct):
    """What entries do to the file of one collection together."""

    start: int
    is_whole: bool
    data: bytearray

    @property
    def end(self) -> int:
        """The length of the file afterwards."""
        return self.start + len(self.data)


class CollectionFiles:
    """The files in one folder. Only the holder of the store's lock reads or writes them."""

    def __init__(self, disk: Disk, folder: str, temporary: str) -> None:
        self._disk = disk
        self._temporary = temporary
        self.folder = folder

    def path(self, name: str) -> str:
        """Return the path of a collection's file.

        Raises:
            InvalidId: the name is not an id, and its path might lead out of the folder.
        """
        check_file_name("collection", name)
        return os.path.join(self.folder, name + _SUFFIX)

    def where(self, name: str) -> str:
        """Return the path of a collection's file relative to the store's folder."""
        return os.path.join(_FOLDER, name + _SUFFIX)

    def names(self) -> Iterator[str]:
        """Yield the names of the collections that have a file."""
        return filter(is_id, self._disk.list_names(self.folder, _SUFFIX))

    def read(self, name: str) -> bytes:
        """Return the content of a collection's file; nothing if there is none.

        Raises:
            CorruptRecord: no plain file that can be read is at its path.
        """
        return read_file(self._disk, self.path(name), self.where(name)) or b""

    def read_index(self, name: str, content: bytes) -> SavedIndex | None:
        """Return the saved index of a collection, if it is valid for the content of its file."""
        try:
            data = read_file(self._disk, self._index_path(name), self.where(name))
        except (CorruptRecord, OSError):  # the file itself is read instead
            _log.warning("the index of collection %r cannot be read", name, exc_info=True)
            return None
        return None if data is None else read_saved(data, content)

    def write_index(
        self, name: str, size: int, spans: Mapping[str, Span], expiring: Mapping[str, int]
    ) -> None:
        """Save the index of a collection's file, which has `size` bytes, if that is possible."""
        try:
            content = self.read(name)
            if len(content) != size:  # another program has written to it
                return
            index = SavedIndex(
                size=size,
                checksum=zlib.crc32(content),
                keys=list(spans),
                starts=[start for start, _ in spans.values()],
                sizes=[length for _, length in spans.values()],
                expiring=dict(expiring),
            )
            parts: list[Bytes] = [write_saved(index)]
            self._disk.write_atomically(self._index_path(name), parts, self._temporary)
        except (CorruptRecord, OSError):  # nothing depends on it
            _log.warning("the index of collection %r is not saved", name, exc_info=True)

    def _index_path(self, name: str) -> str:
        return os.path.join(self.folder, name + _INDEX_SUFFIX)

    def read_lines(self, name: str, spans: Collection[Span]) -> list[bytes]:
        """Return the lines at some places.

        Raises:
            CorruptRecord: no plain file is at its path.
        """
        if not spans:
            return []
        try:
            return self._disk.read_parts(self.path(name), spans)
        except (NotPlainFile, FileNotFoundError) as error:
            raise CorruptRecord(self.where(name), str(error)) from error

    def check_writable(self, name: str) -> None:
        """Check that a collection's file can be written, before the journal says that it is.

        Raises:
            CorruptRecord: it is not a plain file, or its permissions do not let it be written.
        """
        try:
            self._disk.check_writable(self.path(name))
        except NotPlainFile as error:
            raise CorruptRecord(self.where(name), error.reason) from error
        except PermissionError as error:
            raise CorruptRecord(self.where(name), str(error)) from error

    def check(self, name: str, change: CollectionChange) -> None:
        """Check that a file has what comes before a change.

        Raises:
            CorruptRecord: it is shorter.
        """
        if change.is_whole:
            return
        path = self.path(name)
        size = len(self.read(name)) if self._disk.exists(path) else 0
        if size < change.start - 1:
            reason = f"the journal writes to it at byte {change.start}, but it has only {size}"
            raise CorruptRecord(self.where(name), reason)

    def write(self, name: str, change: CollectionChange) -> None:
        """Carry out a change, without a sync; whatever follows it in the file is cut off."""
        if change.is_whole:
            self._disk.remove(self._index_path(name))  # it has keys of removed documents
            if change.data:
                self._disk.write_atomically(self.path(name), [change.data], self._temporary)
            else:
                self._disk.remove(self.path(name))
            return
        try:
            self._disk.write_tail(self.path(name), change.start, change.data)
        except NotPlainFile:
            self._replace(name, change)

    def _replace(self, name: str, change: CollectionChange) -> None:
        """Replace a file with other names, such as a backup by hard links: they keep its content.

        Raises:
            CorruptRecord: it cannot be written because it is a link, a folder, a pipe or a device.
        """
        before = self.read(name)[: change.start].ljust(change.start, b"\n")
        # Synced: the journals may not have what was written before.
        parts: list[Bytes] = [before, change.data]
        self._disk.write_atomically(self.path(name), parts, self._temporary, sync=True)

    def sync(self, name: str) -> None:
        """Make a collection's file survive a power failure."""
        self._disk.sync(self.path(name))


def combine_lines(entries: Iterable[object], files: CollectionFiles) -> dict[str, CollectionChange]:
    """Return what entries do to the file of each collection.

    Raises:
        CorruptRecord: lines do not follow those before them.
    """
    changes: dict[str, CollectionChange] = {}
    for entry in entries:
        match entry:
            case Whole(key=name, lines=lines):
                changes[name] = CollectionChange(0, is_whole=True, data=join_lines(lines))
            case Lines(key=name, start=start, lines=lines):
                change = changes.setdefault(
                    name, CollectionChange(start, is_whole=False, data=bytearray())
                )
                if start != change.end or start < 0:
                    reason = f"the journal writes to it at byte {start}, not at {change.end}"
                    raise CorruptRecord(files.where(name), reason)
                change.data += join_lines(lines)
            case _:
                pass
    return changes


def join_lines(lines: Sequence[msgspec.Raw]) -> bytearray:
    """Return the bytes of lines."""
    data = bytearray()
    for line in lines:
        data += line
        data += b"\n"
    return data
