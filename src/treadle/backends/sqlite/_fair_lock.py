"""A fair lock between processes: writers take turns in the order in which they came.

SQLite waits for its write lock by polling with growing sleeps, which starves some writers and gives
up on others. A writer therefore takes this lock first, and waits for it in the kernel.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager

import portalocker

from treadle.backends._closing import close_all
from treadle.backends._forks import give_up_in_children
from treadle.backends._plain_files import open_plain


class FairFileLock:
    """Locks on two files beside the database; the files are empty and may be deleted when unused.

    A writer that has just written queues again behind those that came in the meantime, so nobody
    writes twice in a row while others wait.
    """

    def __init__(self, path: str) -> None:
        self._queue = _open(path + "-queue")
        try:
            self._lock = _open(path + "-lock")
        except BaseException:
            os.close(self._queue)
            raise
        self._is_open = True
        give_up_in_children(self)

    @contextmanager
    def hold(self) -> Generator[None, None, None]:
        """Wait for the turn, and keep it for the duration of the block."""
        # A writer that waits for the lock also holds the queue. So a writer that releases the lock
        # and comes back at once is stopped at the queue, and cannot overtake.
        portalocker.lock(self._queue, portalocker.LockFlags.EXCLUSIVE)
        try:
            portalocker.lock(self._lock, portalocker.LockFlags.EXCLUSIVE)
        finally:
            portalocker.unlock(self._queue)
        try:
            yield
        finally:
            portalocker.unlock(self._lock)

    def close(self) -> None:
        """Close the files."""
        if self._is_open:
            self._is_open = False
            close_all(lambda: os.close(self._queue), lambda: os.close(self._lock))

    def give_up(self) -> None:
        """Close the files in a forked child; the parent's lock stays as it is."""
        self.close()


def _open(path: str) -> int:
    return open_plain(path, os.O_RDWR | os.O_CREAT, one_name=True)
