"""Exchanging two names at once, which on Linux costs a tenth of replacing one by the other.

Replacing a file makes ext4 and btrfs write the new content to the disk at once, for programs that
never sync. Treadle's journal holds the content already, so it asks for an exchange instead, and
removes the old file under its new name. See docs/decisions/0003.
"""

import ctypes
import errno
import os
import sys
from collections.abc import Callable

_AT_CURRENT_FOLDER = -100
_RENAME_EXCHANGE = 2
_NOT_POSSIBLE = {errno.ENOENT, errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EACCES}


def exchange(one: str, other: str) -> bool:
    """Let two files exchange their names; False if `other` is not there, or it cannot be done.

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
