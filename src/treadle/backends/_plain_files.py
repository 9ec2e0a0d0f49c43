"""Opening files that anybody may have put there, without waiting and without leaving the folder."""

import os
import stat

from treadle.backends._modes import PRIVATE_FILE, share

_FLAGS = (
    getattr(os, "O_NONBLOCK", 0)  # a pipe would wait for its other end
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_KINDS = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


class NotPlainFile(OSError):
    """Something else is where a plain file should be, or the file has other names."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


def open_plain(path: str, flags: int, *, one_name: bool = False, mode: int = PRIVATE_FILE) -> int:
    """Return the descriptor of a plain file.

    Args:
        path: the file; a link at its end is not followed.
        flags: as for `os.open`.
        one_name: refuse a file with other hard links. What is written to it, or locked, would
            concern the file that somebody else has under another name.
        mode: the mode of a file that is created, whatever the umask is.

    Raises:
        NotPlainFile: it is a link, a folder, a pipe, a socket or a device, or has other names.
    """
    descriptor, _ = open_with_status(path, flags, one_name=one_name, mode=mode)
    return descriptor


def open_with_status(
    path: str, flags: int, *, one_name: bool = False, mode: int = PRIVATE_FILE
) -> tuple[int, os.stat_result]:
    """Return the descriptor of a plain file, and its status when it was opened: see `open_plain`.

    Raises:
        NotPlainFile: it is a link, a folder, a pipe, a socket or a device, or has other names.
    """
    try:
        descriptor = os.open(path, flags | _FLAGS, mode)
    except OSError as error:
        reason = _fault_at(path, one_name=one_name)
        if reason is None:
            raise
        raise NotPlainFile(path, reason) from error
    status = os.fstat(descriptor)
    reason = _fault_of(status, one_name=one_name)
    if reason is not None:
        os.close(descriptor)
        raise NotPlainFile(path, reason)
    if flags & os.O_CREAT and mode != PRIVATE_FILE:
        share(descriptor, mode)
    return descriptor, status


def check_plain(path: str, *, one_name: bool = True) -> None:
    """Check a file that will be opened for writing; it may be missing.

    Args:
        path: the file.
        one_name: refuse a file with other hard links.

    Raises:
        NotPlainFile: it is a link, a folder, a pipe, a socket or a device, or has other names.
    """
    reason = _fault_at(path, one_name=one_name)
    if reason is not None:
        raise NotPlainFile(path, reason)


def _fault_at(path: str, *, one_name: bool) -> str | None:
    try:
        status = os.lstat(path)
    except OSError:  # it is missing, or the folder cannot be read
        return None
    return _fault_of(status, one_name=one_name)


def _fault_of(status: os.stat_result, *, one_name: bool) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for test, name in _KINDS if test(status.st_mode)), "a device")
        return f"it is not a plain file but {kind}"
    if one_name and status.st_nlink > 1:
        return "it has other names, as a hard link; put a copy of it in its path"
    return None
