"""The lock of writers: they take turns.

SQLite waits for its write lock by polling with growing sleeps, which starves some writers and gives
up on others. A writer therefore takes this lock first, which is fair.
"""

import os
from collections.abc import Collection
from contextlib import AbstractContextManager
from threading import Lock

from treadle.backends._closing import close_all
from treadle.backends._deadline import Patience
from treadle.backends._fair_lock import LockFile, Turn
from treadle.backends._forks import give_up_in_children
from treadle.backends._hint_ring import HintRing
from treadle.backends._modes import PRIVATE_FILE, file_mode_like
from treadle.backends._plain_files import open_plain
from treadle.core.hints import Hint


class FairFileLock:
    """Locks on two files beside the database, which may be deleted when unused.

    One of the files is empty, the other has the hints of the last commits.

    A writer that has just written queues up again after those that came in the meantime, so nobody
    writes twice in a row while others wait.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        mode = file_mode_like(path) if os.path.exists(path) else PRIVATE_FILE
        self._queue = _open(path + "-queue", mode)
        try:
            self._lock = _open(path + "-lock", mode)
        except BaseException:
            os.close(self._queue)
            raise
        self._queue_file = LockFile(path + "-queue", self._queue)
        self._lock_file = LockFile(path + "-lock", self._lock)
        self.ring = HintRing(path + "-lock", self._lock, Lock())
        self._is_open = True
        give_up_in_children(self)

    def hold(self, patience: Patience) -> AbstractContextManager[None]:
        """Wait for the turn, and keep it for the duration of a block.

        Raises:
            StoreUnavailable: others did not end theirs in time.
        """
        return Turn(self._path, self._queue_file, self._lock_file, patience)

    def give_hints(self, hints: Collection[Hint]) -> None:
        """Write what a commit has changed; only the holder may call it.

        If that fails, others see that the database has changed, and not what.
        """
        try:
            self.ring.append(hints)
        except OSError:
            return

    def close(self) -> None:
        """Close the files."""
        if self._is_open:
            self._is_open = False
            close_all(lambda: os.close(self._queue), lambda: os.close(self._lock))

    def give_up(self) -> None:
        """Close the files in a forked child; the parent's lock stays as it is."""
        self.close()


def _open(path: str, mode: int) -> int:
    return open_plain(path, os.O_RDWR | os.O_CREAT, one_name=True, mode=mode)
