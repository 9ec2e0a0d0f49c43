"""Who may read a store: its owner, and those who may use its files or folders already.

Folders are created with mode 0700 and files with 0600, whatever the umask is. An administrator who
wants to share a store changes the modes of what is there; what is created later follows.
"""

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from stat import S_IMODE

from treadle.errors import StoreUnavailable

PRIVATE_FILE = 0o600
_PRIVATE_FOLDER = 0o700
_REFUSALS = {errno.EACCES, errno.EPERM, errno.EROFS}


def file_mode_like(path: str) -> int:
    """Return the mode of a new file that the same people may read and write as `path`."""
    return PRIVATE_FILE | (_mode_of(path) & 0o066)


def make_folder(path: str, like: str | None = None) -> None:
    """Create a folder, and the folders above it, unless they exist.

    Args:
        path: the folder.
        like: a folder that the same people may use; None: only the owner may use the new one.
    """
    if os.path.isdir(path):
        return
    above = os.path.dirname(path)
    if above:
        make_folder(above)
    try:
        os.mkdir(path, _PRIVATE_FOLDER)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
        return
    if like is not None:
        os.chmod(path, _mode_of(path) | (_mode_of(like) & 0o077))


def share(descriptor: int, mode: int) -> None:
    """Give a file the permissions in `mode` that the umask withheld when it was created."""
    status = os.fstat(descriptor)
    missing = mode & ~status.st_mode
    if missing and hasattr(os, "fchmod") and status.st_uid == os.geteuid():
        os.fchmod(descriptor, S_IMODE(status.st_mode) | missing)


def can_write(folder: str) -> bool:
    """Return True if this process may create files in a folder."""
    return os.access(folder, os.W_OK)


@contextmanager
def advising_to_read(where: str) -> Generator[None, None, None]:
    """Advise a caller who may not write to the store to open it to read only.

    Raises:
        StoreUnavailable: the system does not allow writing there.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        advice = "if you only want to read, open it with read_only=True"
        raise StoreUnavailable(where, f"{error}; {advice}") from error


def _mode_of(path: str) -> int:
    return S_IMODE(os.stat(path).st_mode)
