"""The store's locks: one for who writes, one that tells whether others have the store open."""

import struct
from collections.abc import Generator
from contextlib import contextmanager
from threading import Lock
from typing import IO

import portalocker

from treadle.backends.files.disk import Disk
from treadle.backends.files.journal import Position

_POSITION = struct.Struct("<QQQQ")


class WriterLock:
    """Held by one process at a time; its file also tells up to where the documents are in place."""

    def __init__(self, disk: Disk, path: str) -> None:
        self._file = _open(disk, path)
        self._seeking = Lock()

    @contextmanager
    def hold(self) -> Generator[None, None, None]:
        """Wait for the lock; the kernel hands it on, nobody polls."""
        try:
            portalocker.lock(self._file, portalocker.LockFlags.EXCLUSIVE)
        except portalocker.LockException as error:
            raise OSError(f"its lock cannot be taken: {error}") from error
        try:
            yield
        finally:
            portalocker.unlock(self._file)

    def read_position(self) -> Position:
        """Up to where the documents are in place; without the lock it is a hint."""
        with self._seeking:
            self._file.seek(0)
            data = self._file.read(_POSITION.size)
        if len(data) < _POSITION.size:
            return Position(0)
        return Position(*_POSITION.unpack(data))

    def write_position(self, position: Position) -> None:
        """Tell the others; to be called by the holder."""
        data = _POSITION.pack(position.journal, position.end, position.record, position.group)
        with self._seeking:
            self._file.seek(0)
            self._file.write(data)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class PresenceLock:
    """Shared by all who have the store open: who gets it alone knows there is nobody else."""

    def __init__(self, disk: Disk, path: str) -> None:
        self._file = _open(disk, path)

    def is_alone(self) -> bool:
        """Try to get the lock alone. To be called, and followed by `share`, under `WriterLock`."""
        flags = portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING
        try:
            portalocker.lock(self._file, flags)
        except portalocker.LockException:
            return False
        return True

    def share(self) -> None:
        """Be present."""
        portalocker.unlock(self._file)
        portalocker.lock(self._file, portalocker.LockFlags.SHARED)

    def close(self) -> None:
        """Be gone."""
        self._file.close()


def _open(disk: Disk, path: str) -> IO[bytes]:
    return open(disk.open_log(path), "r+b", buffering=0)
