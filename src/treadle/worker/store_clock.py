"""The store's clock as far as a worker can know it: read off each claim, and carried on."""

import time

from treadle.core.clock import system_clock


class StoreClock:
    """Tells the store's time, in unix milliseconds.

    A store has its own clock (PostgreSQL's is the server's), and a retry is due by that one. What
    was claimed carries the time of its claim; between claims the monotonic clock counts on.
    """

    def __init__(self) -> None:
        self._offset_ms = system_clock() - _monotonic_ms()

    def observe(self, now: int) -> None:
        """The store said just now that it was `now`."""
        self._offset_ms = now - _monotonic_ms()

    def now(self) -> int:
        """The store's time, in unix milliseconds."""
        return max(_monotonic_ms() + self._offset_ms, 0)


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000
