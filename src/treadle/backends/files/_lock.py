"""The store's two locks: one for the writer, one that shows whether others have the store open."""

import os
import struct
from contextlib import AbstractContextManager
from threading import Lock

import msgspec

from treadle.backends._closing import close_all
from treadle.backends._deadline import Patience
from treadle.backends._fair_lock import LockFile, Turn, take
from treadle.backends._file_lock import REFUSED, lock_now, unlock
from treadle.backends._forks import give_up_in_children
from treadle.backends._hint_ring import HintRing
from treadle.backends._identity import identity
from treadle.backends.files._journal import Position
from treadle.backends.files.disk import Disk
from treadle.backends.files.json_files import JsonFiles

_POSITION = struct.Struct("<QQQQ?")
_CLOSED = -1
"""A file descriptor that the system refuses."""


class _LockFile:
    """A file to lock, which is closed until `open`."""

    def __init__(self, disk: Disk, path: str) -> None:
        self._disk = disk
        self._path = path
        self._descriptor = _CLOSED

    def open(self) -> None:
        """Open the file; it is created if missing."""
        self._descriptor = self._disk.open_log(self._path)
        give_up_in_children(self)

    def close(self) -> None:
        """Close the file, which releases its lock; does nothing if it is closed."""
        descriptor, self._descriptor = self._descriptor, _CLOSED
        if descriptor != _CLOSED:
            self._disk.close_log(descriptor)

    def give_up(self) -> None:
        """Close the descriptor of a forked child; the parent's lock stays as it is."""
        self.close()

    @property
    def file(self) -> LockFile:
        """The file, as it is open now."""
        return LockFile(self._path, self._descriptor)


class WriterLock(_LockFile):
    """One process holds it at a time. Its file has hints, and how far the JSON files are written.

    Args:
        disk: the file system.
        files: those of the store.
    """

    def __init__(self, disk: Disk, files: JsonFiles) -> None:
        super().__init__(disk, files.own_path("lock"))
        self._store = files.root
        self._queue = _LockFile(disk, files.own_path("queue"))
        # The event loop's thread reads the position while the engine's thread writes it.
        self._seeking = Lock()

    def open(self) -> None:
        """Open the files; they are created if missing."""
        self._queue.open()
        try:
            super().open()
            self._identity = identity(self._descriptor)
            self.ring = HintRing(self._path, self._descriptor, self._seeking)
        except BaseException:
            self._queue.close()
            raise

    def is_present(self) -> bool:
        """Return True if the files of the lock exist."""
        return self._disk.exists(self._path) and self._disk.exists(self._queue._path)

    def close(self) -> None:
        """Close the files, which releases the lock."""
        close_all(self._queue.close, super().close)

    def hold(self, patience: Patience) -> AbstractContextManager[None]:
        """Wait for a turn, and keep the lock for the duration of a block.

        Raises:
            StoreUnavailable: others did not release it in time.
        """
        return Turn(self._store, self._queue.file, self.file, patience)

    def is_in_place(self) -> bool:
        """Return True if a process that opens the folder now gets this lock."""
        return identity(self._path) == self._identity

    def read_position(self) -> Position:
        """Return how far the JSON files follow the journals; without the lock it is a hint."""
        with self._seeking:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            data = os.read(self._descriptor, _POSITION.size)
        if len(data) < _POSITION.size:
            return Position(0)
        return Position(*_POSITION.unpack(data))

    def hints_end(self) -> int:
        """Return how far hints have been written; it only grows."""
        return self.ring.end()

    def write_position(self, position: Position) -> None:
        """Publish the position to other processes; only the holder may call it."""
        data = _POSITION.pack(*msgspec.structs.astuple(position))
        with self._seeking:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, data)


class PresenceLock(_LockFile):
    """Shared by all processes that have the store open; a process that is alone can own it."""

    def __init__(self, disk: Disk, files: JsonFiles) -> None:
        super().__init__(disk, files.own_path("open"))
        self._store = files.root

    def is_alone(self) -> bool:
        """Try to take the lock exclusively; return True if nobody else has the store open.

        Call it while holding the `WriterLock`, and then `share` or `close`.
        """
        try:
            lock_now(self._descriptor)
        except REFUSED:
            return False
        return True

    def share(self, patience: Patience) -> None:
        """Take the shared lock.

        Raises:
            StoreUnavailable: another program did not release it in time.
        """
        unlock(self._descriptor)
        take(self._store, self.file, patience, is_shared=True)
