"""Clocks for tests, which move only when the test moves them."""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count
from math import ceil

START = 1_800_000_000_000
"""The time that a clock shows at first, in unix milliseconds: in January 2027."""


class ManualClock:
    """A clock that moves only when `now` is set.

    It is a store's clock (`treadle.open_store(url, clock=clock)`) and a worker's (`Worker(...,
    clock=clock)`). Give both the same one: then leases, retries and polls all wait for the test.

    Set `now` from the event loop's thread if a worker uses the clock.
    """

    def __init__(self, now: int = START) -> None:
        self._now = now
        self._elapsed_ms = 0
        self._alarms: list[tuple[int, int, _Alarm]] = []
        self._numbers = count()

    def __call__(self) -> int:
        """Return the time, in unix milliseconds."""
        return self._now

    @property
    def now(self) -> int:
        """The time, in unix milliseconds.

        Set to a later time, it calls what was scheduled up to then. A clock may also be set back,
        as a server's may be; that moves no schedule.
        """
        return self._now

    @now.setter
    def now(self, now: int) -> None:
        self._elapsed_ms += max(now - self._now, 0)
        self._now = now
        while self._alarms and self._alarms[0][0] <= self._elapsed_ms:
            heapq.heappop(self._alarms)[2].ring()

    def time(self) -> float:
        """Return the seconds by which the clock has moved forward. They never decrease."""
        return self._elapsed_ms / 1000

    def call_later(self, delay: float, callback: Callable[[], object], /) -> "_Alarm":
        """Call `callback` when the clock has moved forward by `delay` seconds."""
        alarm = _Alarm(callback)
        # rounded up to the millisecond; first to the nanosecond, as 0.3 * 1000 is more than 300
        delay_ms = ceil(round(delay * 1000, 6))
        if delay_ms <= 0:
            asyncio.get_running_loop().call_soon(alarm.ring)
        else:
            item = (self._elapsed_ms + delay_ms, next(self._numbers), alarm)
            heapq.heappush(self._alarms, item)
        return alarm


class _Alarm:
    """A scheduled callback."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self._callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """Forget the callback."""
        self._callback = None

    def ring(self) -> None:
        """Call the callback, once, unless it was cancelled."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class TickingClock:
    """A clock that moves on by one millisecond each time it is read."""

    def __init__(self, start: int = START) -> None:
        self.start = start
        self.now = start

    def __call__(self) -> int:
        """Return the next millisecond, in unix milliseconds."""
        self.now += 1
        return self.now

    def has_shown(self, time: object) -> bool:
        """Return True if `time` was read from this clock."""
        return type(time) is int and self.start < time <= self.now
