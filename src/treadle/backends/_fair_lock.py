"""A fair lock between processes, on two files: they take turns, and a wait for it has an end.

A wait in the kernel would cost less. But nothing can end it except the process that holds the lock,
which may be stopped for good. So a waiter polls. See docs/decisions/0019.
"""

import os
import random
import re
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress

import msgspec

from treadle.backends._deadline import Patience
from treadle.backends._file_lock import HELD, REFUSED, lock_now, unlock
from treadle.errors import StoreUnavailable

_PAUSES = (0.0002, 0.001)
"""The pause, in seconds, between two looks. Random, and from the same range for all waiters, so
that each has the same chance."""
_LONG_WAIT = 1.0
"""After so many seconds something is wrong, and the pauses are longer, to save the processor."""
_LONG_PAUSES = (0.01, 0.03)
_LOCKS = "/proc/locks"


class LockFile(msgspec.Struct, frozen=True):
    """An open file that can be locked."""

    path: str
    descriptor: int


class Turn:
    """Waits for its turn, and keeps `lock` for the duration of a block.

    The block raises `StoreUnavailable` if the lock, or the queue before it, is not free in time.
    """

    __slots__ = ("_lock", "_patience", "_queue", "_store")

    def __init__(self, store: str, queue: LockFile, lock: LockFile, patience: Patience) -> None:
        self._store = store
        self._queue = queue
        self._lock = lock
        self._patience = patience

    def __enter__(self) -> None:
        # A process that waits for the lock also holds the queue. So one that releases the lock and
        # comes back at once is stopped at the queue, and cannot overtake.
        take(self._store, self._queue, self._patience)
        try:
            take(self._store, self._lock, self._patience)
        finally:
            unlock(self._queue.descriptor)

    def __exit__(self, *_: object) -> None:
        unlock(self._lock.descriptor)


@contextmanager
def hold(store: str, lock: LockFile, patience: Patience) -> Generator[None, None, None]:
    """Keep a lock for the duration of the block; those who wait for it take no turns.

    Raises:
        StoreUnavailable: it was not free in time.
    """
    take(store, lock, patience)
    try:
        yield
    finally:
        unlock(lock.descriptor)


def take(store: str, file: LockFile, patience: Patience, *, is_shared: bool = False) -> None:
    """Wait for a lock and take it.

    Raises:
        StoreUnavailable: it was not free in time.
    """
    started: float | None = None
    while True:
        try:
            lock_now(file.descriptor, is_shared=is_shared)
        except HELD as error:
            if started is None:
                started = time.monotonic()
            waited = time.monotonic() - started
            if patience.is_over:
                raise _still_held(store, file, waited) from error
            time.sleep(random.uniform(*(_PAUSES if waited < _LONG_WAIT else _LONG_PAUSES)))  # noqa: S311
        except REFUSED as error:
            raise StoreUnavailable(store, f"{file.path} cannot be locked: {error}") from error
        else:
            return


def holder_of(path: str, byte: int | None = None) -> str | None:
    """Describe the process that holds a lock on a file; None if that is not known.

    Args:
        path: the file.
        byte: the process must have locked this byte of it for writing; None for the whole file.
    """
    with suppress(OSError):
        status = os.stat(path)
        device, number = status.st_dev, status.st_ino
        file = f"{os.major(device):02x}:{os.minor(device):02x}:{number}"
        with open(_LOCKS, encoding="ascii") as lines:
            for line in lines:
                found = re.search(rf" WRITE (\d+) {file} (\d+) (\d+|EOF)$", line.rstrip())
                if found is None or "->" in line:  # an arrow marks one that waits
                    continue
                process, start, end = found.groups()
                if byte is None or int(start) <= byte <= (byte if end == "EOF" else int(end)):
                    return f"process {process}{_name_of(process)}"
    return None


def _still_held(store: str, file: LockFile, waited: float) -> StoreUnavailable:
    holder = holder_of(file.path) or "another process"
    reason = f"{holder} has kept the lock {file.path} for {waited:.1f} s"
    return StoreUnavailable(store, f"{reason}; let it go on if it is stopped, or end it")


def _name_of(process: str) -> str:
    """Return the program of a process in brackets, with `stopped` if it is; empty if unknown."""
    with suppress(OSError, ValueError):
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            name, _, rest = file.read().partition("(")[2].rpartition(")")
        return f" ({name}, which is stopped)" if rest.split()[0] == "T" else f" ({name})"
    return ""
