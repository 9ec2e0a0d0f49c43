"""How long to wait before trying again: longer each time, and never all at the same moment."""

import math
import random

import msgspec

from treadle.errors import InvalidValue

_RANDOM = random.SystemRandom()


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """Waiting times that grow by `factor` from `base_ms` up to `max_ms` (milliseconds).

    Each is drawn anew, from 0 up to the time that has been reached (full jitter), so that what has
    failed together does not come back together.

    Raises:
        InvalidValue: `base_ms` is below 1, `factor` below 1, or `max_ms` below `base_ms`.
    """

    base_ms: int = 1_000
    factor: float = 2.0
    max_ms: int = 300_000

    def __post_init__(self) -> None:
        if self.base_ms < 1:
            raise InvalidValue("backoff.base_ms", f"it must be at least 1, not {self.base_ms}")
        if not (1 <= self.factor < math.inf):
            raise InvalidValue("backoff.factor", f"it must be 1 or more, not {self.factor}")
        if self.max_ms < self.base_ms:
            raise InvalidValue("backoff.max_ms", f"it must not be below base_ms, {self.base_ms}")

    def ceiling_ms(self, attempt: int) -> int:
        """The longest wait after the `attempt`-th failure (the first is 1), in milliseconds."""
        steps = max(attempt, 1) - 1
        if steps * math.log(self.factor) >= math.log(self.max_ms / self.base_ms):
            return self.max_ms
        return int(self.base_ms * self.factor**steps)

    def delay_ms(self, attempt: int) -> int:
        """A wait with full jitter: any from 0 to the ceiling, both included, in milliseconds."""
        return _RANDOM.randint(0, self.ceiling_ms(attempt))

    def pause_ms(self, attempt: int) -> int:
        """A wait that is never short: from half the ceiling to the ceiling, in milliseconds."""
        ceiling = self.ceiling_ms(attempt)
        return _RANDOM.randint((ceiling + 1) // 2, ceiling)
