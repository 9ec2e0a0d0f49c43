"""Whether a path still leads to the file that is open: it may be removed or replaced.

What is written to an open file that no path leads to is acknowledged, and seen by nobody else.
"""

import os
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import TypeAlias

from treadle.errors import StoreUnavailable

Identity: TypeAlias = tuple[int, int] | None
"""A file's device and inode; None if there is none."""

_identity: Callable[[os.stat_result], tuple[int, int]] = attrgetter("st_dev", "st_ino")


def identity(file: str | int) -> Identity:
    """Return the identity of the file at a path, or of an open descriptor."""
    try:
        return _identity(os.stat(file))
    except OSError:
        return None


def identities(paths: Iterable[str]) -> tuple[Identity, ...]:
    """Return the identities of the files at some paths; every commit asks for them."""
    try:
        return tuple(map(_identity, map(os.stat, paths)))
    except OSError:
        return tuple(map(identity, paths))


def lost(where: str) -> StoreUnavailable:
    """Return the error for a store that was removed or replaced while it was open."""
    return StoreUnavailable(where, "it was removed or replaced while it was open; open it again")
