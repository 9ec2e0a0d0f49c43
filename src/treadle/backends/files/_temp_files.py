"""A pool of temporary files, overwritten instead of created: creating is the slow part of a write.

ext4 skips every inode that was freed within the last half minute, so creating and removing a file
for each commit gets slower the more of them there are. A file that a swap has taken out of use is
therefore kept and overwritten for the next JSON file. Nobody else may be using it: it must not be
open or mapped anywhere (Linux grants a write lease only then), nor have a second link, nor
other permissions than a new file would get.
"""

import os
import secrets
import sys
from collections import deque
from contextlib import suppress
from itertools import count

from treadle.backends._modes import file_mode_like
from treadle.backends._plain_files import open_plain, open_with_status

if sys.platform == "linux":
    import fcntl

_MOST_KEPT = 64


class TempFilePool:
    """The temporary files of one handle on a store."""

    def __init__(self) -> None:
        # Handles share the folder of temporary files: the prefix keeps their names apart.
        self._prefix = secrets.token_hex(8)
        self._numbers = count()
        self._paths: deque[str] = deque()
        self._mode: int | None = None

    def open(self, folder: str) -> tuple[int, str, int]:
        """Return the descriptor, the path and the size of a file in `folder`.

        A file that is reused has old bytes.
        """
        while self._paths:
            path = self._paths.popleft()
            reopened = self._reopen(path)
            if reopened is not None:
                descriptor, size = reopened
                return descriptor, path, size
            _remove(path)
        path = f"{folder}{os.sep}{self._prefix}-{next(self._numbers)}.tmp"
        mode = file_mode_like(folder)
        descriptor = open_plain(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode=mode)
        if self._mode is None:
            self._mode = os.fstat(descriptor).st_mode
        return descriptor, path, 0

    def release(self, path: str) -> None:
        """Keep a file that is no longer used, or remove it if enough are kept."""
        if len(self._paths) < _MOST_KEPT:
            self._paths.append(path)
        else:
            _remove(path)

    def clear(self) -> None:
        """Remove the files that are kept."""
        while self._paths:
            _remove(self._paths.popleft())

    def _reopen(self, path: str) -> tuple[int, int] | None:
        try:
            descriptor, status = open_with_status(path, os.O_WRONLY, one_name=True)
        except OSError:  # somebody cleaned up the folder: the caller creates another
            return None
        if status.st_mode == self._mode and _is_open_nowhere_else(descriptor):
            return descriptor, status.st_size
        os.close(descriptor)
        return None


def _remove(path: str) -> None:
    # A swap may have brought somebody's folder here.
    with suppress(FileNotFoundError, IsADirectoryError, PermissionError):
        os.unlink(path)


def _is_open_nowhere_else(descriptor: int) -> bool:
    """Return True if nobody else has the file open: only then is a write lease granted."""
    if sys.platform != "linux":
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:  # it is open elsewhere, or the file system has no leases
        return False
    return True
