"""Whether a path still leads to the file that is open: it may be removed or replaced.

What is written to an open file that no path leads to is acknowledged, and seen by nobody else.
"""

import os
from typing import TypeAlias

from treadle.errors import StoreUnavailable

Identity: TypeAlias = tuple[int, int] | None
"""A file's device and inode; None if there is none."""


def identity(file: str | int) -> Identity:
    """Return the identity of the file at a path, or of an open descriptor."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def lost(where: str) -> StoreUnavailable:
    """Return the error for a store that was removed or replaced while it was open."""
    return StoreUnavailable(where, "it was removed or replaced while it was open; open it again")
