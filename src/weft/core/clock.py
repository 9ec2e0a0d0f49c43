"""Time and ids are injected; these are their defaults."""

import random
import time
import uuid
from collections.abc import Callable

Clock = Callable[[], int]
"""Returns the present as unix milliseconds."""

_TAIL_BITS = 74
_STEP_BITS = 48
"""There is room for millions of steps within a millisecond, from wherever the first one begins."""
_last = (0, 0)
"""The time of the last id, and the bits behind it."""


def system_clock() -> int:
    """The machine's clock, in unix milliseconds."""
    return time.time_ns() // 1_000_000


def new_id() -> str:
    """A UUIDv7 (RFC 9562): of the ids that a process makes, each sorts after those before it.

    What is sent within one millisecond thus keeps its order. Ids of other processes are in order to
    the millisecond.
    """
    global _last  # noqa: PLW0603
    now, (time_ms, tail) = system_clock(), _last
    if now > time_ms:
        time_ms, tail = now, random.getrandbits(_TAIL_BITS - 1)
    else:  # a step that nobody can guess, for those that were forked from one process
        tail += 1 + random.getrandbits(_STEP_BITS)
    _last = time_ms, tail
    value = (time_ms & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | (tail >> 62) << 64
    value |= 0b10 << 62 | tail & 0x3FFF_FFFF_FFFF_FFFF
    return str(uuid.UUID(int=value))


def new_token() -> str:
    """A random UUID that names one claim and cannot be guessed."""
    return str(uuid.uuid4())
