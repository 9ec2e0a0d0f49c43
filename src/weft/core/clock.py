"""Time and ids are injected; these are their defaults."""

import random
import time
import uuid
from collections.abc import Callable

Clock = Callable[[], int]
"""Returns the present as unix milliseconds."""


def system_clock() -> int:
    """The machine's clock, in unix milliseconds."""
    return time.time_ns() // 1_000_000


def new_id() -> str:
    """A UUIDv7 (RFC 9562): ids made later sort later, to the millisecond."""
    milliseconds = system_clock() & 0xFFFF_FFFF_FFFF
    random_bits = random.getrandbits(74)
    value = milliseconds << 80 | 0x7 << 76 | (random_bits >> 62) << 64
    value |= 0b10 << 62 | random_bits & 0x3FFF_FFFF_FFFF_FFFF
    return str(uuid.UUID(int=value))


def new_token() -> str:
    """A random UUID that names one claim and cannot be guessed."""
    return str(uuid.uuid4())
