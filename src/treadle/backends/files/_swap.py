"""Swap two file names atomically, which on Linux is ten times cheaper than replacing a file.

When one file replaces another, ext4 and btrfs write its content to the disk at once, to protect
programs that never sync. Treadle does not need that: its journal has the content already. So it
swaps the two names and keeps the old file for the next write. See docs/decisions/0003.
"""

import ctypes
import errno
import os
import sys
from collections.abc import Callable

_AT_CURRENT_FOLDER = -100
_RENAME_EXCHANGE = 2
# ENOENT: the target does not exist. The others: the kernel or file system cannot swap names.
_NOT_POSSIBLE = {errno.ENOENT, errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EACCES}


def swap(one: str, other: str) -> bool:
    """Swap the names of two files; return False if `other` does not exist or swapping cannot work.

    Raises:
        OSError: the disk refused.
    """
    if _renameat2 is None:
        return False
    names = os.fsencode(one), os.fsencode(other)
    result = _renameat2(
        _AT_CURRENT_FOLDER, names[0], _AT_CURRENT_FOLDER, names[1], _RENAME_EXCHANGE
    )
    if result == 0:
        return True
    code = ctypes.get_errno()
    if code in _NOT_POSSIBLE:
        return False
    raise OSError(code, os.strerror(code), other)


def _find_renameat2() -> Callable[[int, bytes, int, bytes, int], int] | None:
    if sys.platform != "linux":
        return None
    # glibc before 2.28 does not have it
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is not None:
        function.argtypes = (
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_uint,
        )
    return function


_renameat2 = _find_renameat2()
