"""Reading a folder without writing to it: JSON files that the journals change are in memory."""

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from time import time_ns

from treadle.backends._deadline import Patience
from treadle.backends._plain_files import open_plain
from treadle.backends.base import NO_STORE
from treadle.backends.files._engine import Engine
from treadle.backends.files._entries import Entry
from treadle.backends.files._journal import Position
from treadle.backends.files._lock import WriterLock
from treadle.backends.files._recovery import find_journals, read_journal, replay
from treadle.backends.files._replica import Replica
from treadle.backends.files._tables import FileTables
from treadle.backends.files.disk import Bytes, Disk
from treadle.clock import Clock
from treadle.errors import StoreUnavailable

_SETTLED_NS = 10**9
"""How old the time of a folder must be, so that a later change gets another one, in nanoseconds."""


class OverlaidDisk(Disk):
    """The real file system, to which nothing is written: changed files are kept in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._files: dict[str, bytes | None] = {}
        """The content of changed files by path; None if a file is removed."""

    def uncover(self) -> None:
        """Forget all changes."""
        self._files.clear()

    def read(self, path: str) -> bytes:
        """Return the content of a file, with its changes."""
        if path not in self._files:
            return super().read(path)
        data = self._files[path]
        if data is None:
            raise FileNotFoundError(path)
        return data

    def exists(self, path: str) -> bool:
        """Return True if there is anything at `path`."""
        return self._files[path] is not None if path in self._files else super().exists(path)

    def list_names(self, folder: str, suffix: str) -> Iterator[str]:
        """Yield the names in a folder that end with `suffix`, without it."""
        names = set(super().list_names(folder, suffix))
        for path, data in self._files.items():
            if os.path.dirname(path) == folder and path.endswith(suffix):
                name = os.path.basename(path).removesuffix(suffix)
                (names.discard if data is None else names.add)(name)
        yield from names

    def write_atomically(
        self, path: str, parts: Sequence[Bytes], temp_folder: str, *, sync: bool = False
    ) -> None:
        """Replace a file's content in memory."""
        self._files[path] = b"".join(parts)

    def read_parts(self, path: str, parts: Iterable[tuple[int, int]]) -> list[bytes]:
        """Return parts of a file, with its changes."""
        if path not in self._files:
            return super().read_parts(path, parts)
        data = self.read(path)
        return [data[start : start + size] for start, size in parts]

    def read_end(self, path: str, size: int) -> tuple[bytes, int]:
        """Return up to `size` bytes at the end of a file, with its changes."""
        if path not in self._files:
            return super().read_end(path, size)
        data = self.read(path)
        start = max(len(data) - size, 0)
        return data[start:], start

    def write_tail(self, path: str, start: int, data: Bytes) -> None:
        """Make a file end with `data` in memory, unless it does."""
        content = self.read(path) if self.exists(path) else b""
        if content[start:] != data:
            self._files[path] = content[:start].ljust(start, b"\n") + bytes(data)

    def remove(self, path: str) -> None:
        """Remove a file in memory."""
        self._files[path] = None

    def sync(self, path: str) -> None:
        """Do nothing."""

    def sync_folder(self, path: str) -> None:
        """Do nothing."""

    def open_log(self, path: str) -> int:
        """Open a file for reading at any offset; a missing one is empty."""
        try:
            return open_plain(path, os.O_RDONLY)
        except FileNotFoundError:
            return os.open(os.devnull, os.O_RDONLY)


class ReaderLock(WriterLock):
    """The lock of the writers, taken by a reader, which cannot create it.

    If it is missing, or may not be opened, the reader waits for nobody and reads the store as it
    is.
    """

    _is_open = False

    def open(self) -> None:
        """Open the files, if they are there."""
        if not self.is_present():
            return
        try:
            super().open()
        except PermissionError:
            return
        self._is_open = True

    def close(self) -> None:
        """Close the files, if they were opened."""
        self._is_open = False
        super().close()

    @contextmanager
    def hold(self, patience: Patience) -> Generator[None, None, None]:
        """Keep writers out for the duration of the block, if that is possible."""
        if not self._is_open:  # somebody may have opened the store to write since
            self.open()
        with super().hold(patience) if self._is_open else nullcontext():
            yield

    @property
    def is_open(self) -> bool:
        """Whether the files are there, and open."""
        return self._is_open

    def is_in_place(self) -> bool:
        """Return True unless a process that opens the folder now gets another lock."""
        return not self._is_open or super().is_in_place()

    def hints_end(self) -> int:
        """Return how far hints have been written; it only grows."""
        return super().hints_end() if self._is_open else 0

    def read_position(self) -> Position:
        """Return how far the JSON files follow the journals; a hint."""
        return super().read_position() if self._is_open else Position(0)


class ReadOnlyEngine(Engine):
    """Reads a folder, which may be on a read-only medium or belong to another user.

    If other processes have the store open, it follows them, and takes turns with them if it may
    open the files of their locks, which needs no right to write.

    Args:
        root: the folder.
        clock: the time in unix milliseconds.
    """

    def __init__(self, root: str, clock: Clock) -> None:
        self._overlay = OverlaidDisk()
        super().__init__(root, clock, "relaxed", self._overlay, create=False)
        self._lock: ReaderLock = ReaderLock(self._disk, self._files)
        self._older: list[Entry] = []
        """What complete journals have, until it is replayed."""
        self._trace: object = None
        """What the folder looked like when the replica was made."""

    def open(self, patience: Patience) -> None:
        """Open the store, as it is.

        Raises:
            SchemaTooNew: a newer Treadle wrote the store.
            CorruptRecord: the journal is damaged, or another of its files is not a plain file.
            StoreUnavailable: there is no store, it cannot be read, or others kept its lock.
        """
        self._replica = None
        with self._translate_errors():
            self._files.check_system()
            if not self._files.is_store():
                raise StoreUnavailable(self._files.root, NO_STORE)
            self._lock.open()
            try:
                with self._lock.hold(patience):
                    self._files.check_format()
                    self._catch_up()
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Close the files."""
        self._drop_replica()
        self._lock.close()

    def position(self) -> object:
        """Return what changes when another process writes; a hint."""
        # If there is no lock, the first process that opens the store to write creates it. The last
        # one to close it leaves the position as the one before has left it, but not the hints.
        return (
            self._lock.read_position(),
            self._lock.hints_end(),
            self._lock.is_in_place(),
            self._lock.is_present(),
        )

    def _catch_up(self) -> Replica:
        """Return the replica, with everything that any process has committed."""
        numbers = find_journals(self._disk, self._files)
        replica = self._replica
        if replica is None or self._may_be_outdated(replica, numbers):
            replica = self._replica = self._start(numbers)
        entries, self._older = self._older, []
        if replica.journal.has_news():
            entries += replica.follow(Position(replica.journal.position.journal))
        replay(self._files, entries)
        return replica

    def _may_be_outdated(self, replica: Replica, numbers: list[int]) -> bool:
        """Return True if its journal may not have everything that was committed since."""
        # The last writer removes all journals, and the next one counts from 1 again.
        newest = max(numbers, default=0)
        if replica.journal.position.journal != newest:
            return True
        return replica.journal.is_lost() if newest else self._trace != self._look_for_traces()

    def _look_for_traces(self) -> object:
        """Return what changes if somebody writes to the store and closes it again.

        Each time something else, if nothing shows that.
        """
        changed_at = self._files.changed_at()
        if self._lock.is_open:  # all who write leave hints
            return self._lock.read_position(), self._lock.hints_end(), changed_at
        newest = max((time for time in changed_at if time is not None), default=0)
        return changed_at if newest < time_ns() - _SETTLED_NS else object()

    def _start(self, numbers: list[int]) -> Replica:
        """Return a replica at the start of the newest journal."""
        self._drop_replica()
        self._overlay.uncover()
        self._trace = self._look_for_traces()
        # All at once: what one journal appends to a file, a later one may have replaced.
        older = [read_journal(self._disk, self._files, number) for number in numbers[:-1]]
        self._older = [entry for entries in older for entry in entries]
        journal = self._open_journal(Position(max(numbers, default=0)))
        tables = FileTables(self._files, self._delta_files, self._versions)
        return Replica(self._files, self._delta_files, tables, journal)
