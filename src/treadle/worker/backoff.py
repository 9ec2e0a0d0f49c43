"""How long to wait before another try: longer each time, and with jitter."""

import math
from random import Random

import msgspec

from treadle.core.codec import check_integer
from treadle.errors import InvalidValue, StoreUnavailable, shorten

TRANSIENT = (StoreUnavailable, OSError)
"""Errors after which the same call may succeed; a `TimeoutError` is an `OSError`."""


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """Delays that grow by `factor` from `base_ms` up to `max_ms` (milliseconds).

    Each delay is drawn from 0 up to its ceiling (full jitter), so that entries that failed together
    are not retried together.

    Raises:
        InvalidValue: `base_ms` is below 1, `factor` below 1, or `max_ms` below `base_ms` or
            above 2^63 - 1; or one of them is not a number (the times must be integers).
    """

    base_ms: int = 1_000
    factor: float = 2.0
    max_ms: int = 300_000

    def __post_init__(self) -> None:
        if check_integer("backoff.base_ms", self.base_ms) < 1:
            raise InvalidValue("backoff.base_ms", f"it must be at least 1, not {self.base_ms}")
        if type(self.factor) not in (int, float) or not 1 <= self.factor < math.inf:
            raise InvalidValue(
                "backoff.factor", f"it must be a number from 1, not {shorten(self.factor)}"
            )
        if check_integer("backoff.max_ms", self.max_ms) < self.base_ms:
            reason = f"it must be at least {self.base_ms}, the base_ms, not {self.max_ms}"
            raise InvalidValue("backoff.max_ms", reason)

    def ceiling_ms(self, attempt: int) -> int:
        """Return the longest delay after the `attempt`-th failure (from 1), in milliseconds."""
        steps = max(attempt, 1) - 1
        # compare logarithms: the power itself overflows after about a thousand attempts
        if steps * math.log(self.factor) >= math.log(self.max_ms / self.base_ms):
            return self.max_ms
        return int(self.base_ms * self.factor**steps)

    def delay_ms(self, attempt: int, random: Random) -> int:
        """Draw a delay from 0 to the ceiling, both included, in milliseconds."""
        return random.randint(0, self.ceiling_ms(attempt))

    def pause_ms(self, attempt: int, random: Random) -> int:
        """Draw a delay that is never short: from half the ceiling to the ceiling, in milliseconds.

        Use it in a loop, which must always pause.
        """
        ceiling = self.ceiling_ms(attempt)
        return random.randint((ceiling + 1) // 2, ceiling)


OUTAGE_BACKOFF = Backoff(base_ms=100, factor=2.0, max_ms=5_000)
"""The delays between two calls to a store that is not available."""

POLL = Backoff(base_ms=50, factor=2.0, max_ms=5_000)
"""How long to rely on a notification: a short time after the last entry, then longer.

So if a notification is lost, an entry that falls due after `d` ms is claimed at most about `d` ms
late, and never more than 5 s late.
"""
