"""The default sources of times, ids and tokens; the core gets them as arguments."""

import os
import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Returns the present as unix milliseconds."""

_NUMBER_BYTES = 16
_BLOCK_BYTES = 64 * _NUMBER_BYTES
_numbers: list[int] = []
"""Random numbers of 128 bits from the system's source, each for one use."""
_TAIL_BITS = 74
_STEP_BITS = 48
"""Steps of this size leave room for millions of ids in one millisecond."""
_last = (0, 0)
"""The time of the last id, and its other bits."""


def system_clock() -> int:
    """Return the machine's time in unix milliseconds."""
    return time.time_ns() // 1_000_000


def new_id() -> str:
    """Return a UUIDv7 (RFC 9562) that sorts after all earlier ones of this process.

    So entries that are sent within one millisecond keep their order. Ids of different processes,
    and of threads that make them at the same moment, are ordered to the millisecond.
    """
    global _last  # noqa: PLW0603
    now, (time_ms, tail) = system_clock(), _last
    if now > time_ms:
        time_ms, tail = now, random_number(_TAIL_BITS - 1)
    else:  # a random step: it cannot be guessed, and no other thread takes the same one
        tail += 1 + random_number(_STEP_BITS)
        if tail >> _TAIL_BITS:
            time_ms, tail = time_ms + 1, random_number(_TAIL_BITS - 1)
    _last = max(_last, (time_ms, tail))
    return _uuid(7, time_ms & 0xFFFF_FFFF_FFFF, tail)


def new_token() -> str:
    """Return a random UUID, such as that of a claim; it cannot be guessed."""
    first, tail = divmod(random_number(48 + _TAIL_BITS), 1 << _TAIL_BITS)
    return _uuid(4, first, tail)


def random_number(bits: int) -> int:
    """Return a random number of at most 128 bits, which nobody can guess.

    The system is asked for many at once, because each time other threads run meanwhile: of many
    callers that send at the same time, the first would be committed by itself.
    """
    while True:
        try:
            # No other thread gets the same one.
            return _numbers.pop() >> (8 * _NUMBER_BYTES - bits)
        except IndexError:
            block = os.urandom(_BLOCK_BYTES)
            starts = range(0, _BLOCK_BYTES, _NUMBER_BYTES)
            _numbers.extend(int.from_bytes(block[at : at + _NUMBER_BYTES]) for at in starts)


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_numbers.clear)


def _uuid(version: int, first: int, tail: int) -> str:
    """A UUID of a version, from its first 48 bits and the 74 that are free in the others.

    The class of the standard library takes several times as long to check and to write it.
    """
    return (
        f"{first >> 16:08x}-{first & 0xFFFF:04x}-{version << 12 | tail >> 62:04x}"
        f"-{0x8000 | tail >> 48 & 0x3FFF:04x}-{tail & 0xFFFF_FFFF_FFFF:012x}"
    )
