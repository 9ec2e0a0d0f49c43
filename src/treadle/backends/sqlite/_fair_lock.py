"""A fair lock between processes: writers take turns in the order in which they came.

SQLite waits for its write lock by polling with growing sleeps, which starves some writers and gives
up on others. A writer therefore takes this lock first, and waits for it in the kernel.
"""

from collections.abc import Generator
from contextlib import contextmanager

import portalocker


class FairFileLock:
    """Locks on two files beside the database; the files are empty and may be deleted when unused.

    A writer that has just written queues again behind those that came in the meantime, so nobody
    writes twice in a row while others wait.
    """

    def __init__(self, path: str) -> None:
        self._queue = open(path + "-queue", "ab")  # noqa: SIM115
        self._lock = open(path + "-lock", "ab")  # noqa: SIM115

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
        self._queue.close()
        self._lock.close()
