"""Whose turn it is to write: processes wait for it in the kernel, and nobody gets past another.

SQLite's own wait is a poll with growing sleeps, which starves some and gives up on others. So a
writer first takes these two locks. Who has written must pass the first again, and there stands
whoever came meanwhile; so it cannot write twice in a row while others wait.
"""

from collections.abc import Generator
from contextlib import contextmanager

import portalocker


class Turnstile:
    """Locks on files beside the database, which hold nothing, and may go when all is closed."""

    def __init__(self, path: str) -> None:
        self._entrance = open(path + "-queue", "ab")  # noqa: SIM115
        self._room = open(path + "-lock", "ab")  # noqa: SIM115

    @contextmanager
    def hold(self) -> Generator[None, None, None]:
        """Wait for the turn, and have it."""
        portalocker.lock(self._entrance, portalocker.LockFlags.EXCLUSIVE)
        try:
            portalocker.lock(self._room, portalocker.LockFlags.EXCLUSIVE)
        finally:
            portalocker.unlock(self._entrance)
        try:
            yield
        finally:
            portalocker.unlock(self._room)

    def close(self) -> None:
        """Let go of the files."""
        self._entrance.close()
        self._room.close()
