"""Old files, written over instead of made anew: making a file is what costs most in placing one.

ext4 passes over every inode that was freed within the last half minute, so making and removing a
file for each commit gets slower the more there are. A file that an exchange has taken out of its
place is therefore kept, and written over for the next document. It must be nobody else's: not
open or mapped anywhere, which a lease tells (Linux), not linked elsewhere, not another's.
"""

import os
import secrets
import stat
import sys
from collections import deque
from contextlib import suppress
from itertools import count

if sys.platform == "linux":
    import fcntl

_KEPT = 64
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_PLAIN = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class Spares:
    """The temporary files of one handle on a store."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(8)
        self._numbers = count()
        self._paths: deque[str] = deque()
        self._mode: int | None = None

    def open(self, folder: str) -> tuple[int, str]:
        """A file to write to, and its path, a temporary one in `folder`; it may be longer."""
        while self._paths:
            path = self._paths.popleft()
            descriptor = self._reopen(path)
            if descriptor is not None:
                return descriptor, path
            _remove(path)
        path = f"{folder}{os.sep}{self._prefix}-{next(self._numbers)}.tmp"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _PLAIN, 0o666)
        if self._mode is None:
            self._mode = os.fstat(descriptor).st_mode
        return descriptor, path

    def keep(self, path: str) -> None:
        """The file at `path` is not needed any more."""
        if len(self._paths) < _KEPT:
            self._paths.append(path)
        else:
            _remove(path)

    def remove(self) -> None:
        """Remove what is kept."""
        while self._paths:
            _remove(self._paths.popleft())

    def _reopen(self, path: str) -> int | None:
        try:
            descriptor = os.open(path, os.O_WRONLY | _NO_FOLLOW | _PLAIN)
        except OSError:  # somebody tidied up: another is made
            return None
        status = os.fstat(descriptor)
        ours = stat.S_ISREG(status.st_mode) and status.st_mode == self._mode
        if ours and status.st_nlink == 1 and _is_open_nowhere_else(descriptor):
            return descriptor
        os.close(descriptor)
        return None


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _is_open_nowhere_else(descriptor: int) -> bool:
    """Whether nobody else has the file open: only then is a lease for writing granted."""
    if sys.platform != "linux":
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:  # it is open elsewhere, or the file system knows no leases
        return False
    return True
