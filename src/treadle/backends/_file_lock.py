"""Locking an open file, without waiting.

Every commit on SQLite and on files does this several times. On POSIX it is the system's own call,
which takes a tenth of the time that the library takes.
"""

import sys

if sys.platform == "win32":
    import portalocker

    HELD: type[Exception] = portalocker.AlreadyLocked
    """The error of `lock_now` if another process has locked the file."""
    REFUSED: type[Exception] = portalocker.LockException
    """The error of `lock_now` if the file cannot be locked."""

    def lock_now(descriptor: int, *, is_shared: bool = False) -> None:
        """Lock a file, or raise an error."""
        kind = portalocker.LockFlags.SHARED if is_shared else portalocker.LockFlags.EXCLUSIVE
        portalocker.lock(descriptor, kind | portalocker.LockFlags.NON_BLOCKING)

    def unlock(descriptor: int) -> None:
        """Release the lock of a file."""
        portalocker.unlock(descriptor)

else:
    import fcntl

    HELD: type[Exception] = BlockingIOError
    """The error of `lock_now` if another process has locked the file."""
    REFUSED: type[Exception] = OSError
    """The error of `lock_now` if the file cannot be locked."""
    _SHARED = fcntl.LOCK_SH | fcntl.LOCK_NB
    _EXCLUSIVE = fcntl.LOCK_EX | fcntl.LOCK_NB

    def lock_now(descriptor: int, *, is_shared: bool = False) -> None:
        """Lock a file, or raise an error."""
        fcntl.flock(descriptor, _SHARED if is_shared else _EXCLUSIVE)

    def unlock(descriptor: int) -> None:
        """Release the lock of a file."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)
