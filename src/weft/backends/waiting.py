"""Waiting for something to be written: this process tells, others are looked for."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from weft.core.clock import Clock

_LOOK_SECONDS = (0.01, 0.025)
"""How often a waiting caller looks whether another process has written."""


class Waiting:
    """Those who wait for a store to change.

    Args:
        position: tells cheaply up to where the store has been written, by whomever; None ends
            every wait.
    """

    def __init__(self, position: Callable[[], object]) -> None:
        self._position = position
        self._sleepers: set[Callable[[], None]] = set()

    def wake(self) -> None:
        """Let those who wait look again."""
        for wake in tuple(self._sleepers):
            wake()

    async def until_due(
        self, timeout_ms: int, clock: Clock, next_due: Callable[[int], Awaitable[int | None]]
    ) -> None:
        """Return once `next_due(now)` is a time that is past, or after `timeout_ms`."""
        end = time.monotonic() + timeout_ms / 1000
        while (left := end - time.monotonic()) > 0:
            seen, now = self._position(), clock()
            due = await next_due(now)
            if due is not None and due <= now:
                return
            await self._sleep(left if due is None else min(left, (due - now) / 1000), seen)

    async def _sleep(self, seconds: float, seen: object) -> None:
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        ending = looking = loop.call_later(seconds, wake)

        def look() -> None:
            nonlocal looking
            if self._position() != seen:
                wake()
            else:
                looking = loop.call_later(random.uniform(*_LOOK_SECONDS), look)  # noqa: S311

        look()
        self._sleepers.add(wake)
        try:
            await woken
        finally:
            self._sleepers.discard(wake)
            looking.cancel()
            ending.cancel()
