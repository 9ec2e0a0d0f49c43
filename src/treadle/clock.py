"""Time and ids are injected; these are their defaults."""

import random
import time
import uuid
from collections.abc import Callable

Clock = Callable[[], int]
"""Returns the present as unix milliseconds."""

_RANDOM = random.SystemRandom()
"""The system's, which neither a seed nor a fork repeats."""
_TAIL_BITS = 74
_STEP_BITS = 48
"""There is room for millions of steps within a millisecond, from wherever the first one begins."""
_last = (0, 0)
"""The time of the last id, and the bits behind it."""


def system_clock() -> int:
    """The machine's clock, in unix milliseconds."""
    return time.time_ns() // 1_000_000


def new_id() -> str:
    """A UUIDv7 (RFC 9562): each sorts after those that the process has made before.

    So what is sent within one millisecond keeps its order. Ids of other processes, and of threads
    that make them at the same moment, are in order to the millisecond.
    """
    global _last  # noqa: PLW0603
    now, (time_ms, tail) = system_clock(), _last
    if now > time_ms:
        time_ms, tail = now, _RANDOM.getrandbits(_TAIL_BITS - 1)
    else:  # a step that nobody can guess, and no other thread takes too
        tail += 1 + _RANDOM.getrandbits(_STEP_BITS)
        if tail >> _TAIL_BITS:
            time_ms, tail = time_ms + 1, _RANDOM.getrandbits(_TAIL_BITS - 1)
    _last = max(_last, (time_ms, tail))
    value = (time_ms & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | (tail >> 62) << 64
    value |= 0b10 << 62 | tail & 0x3FFF_FFFF_FFFF_FFFF
    return str(uuid.UUID(int=value))


def new_token() -> str:
    """A random UUID that names one claim and cannot be guessed."""
    return str(uuid.uuid4())
