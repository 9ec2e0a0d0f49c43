"""Waiting for a store to change: this process wakes its callers; they look for other processes."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

_LOOK_SECONDS = (0.01, 0.025)
"""How often a waiting caller looks whether another process has written. Random, so that many
callers do not look at the same moment."""


class Waiting:
    """The callers that wait for a store to change.

    Args:
        position: returns cheaply how far the store has been written, by any process. None ends
            every wait.
    """

    def __init__(self, position: Callable[[], object]) -> None:
        self._position = position
        self._sleepers: set[Callable[[], None]] = set()

    def wake(self) -> None:
        """Let all callers look again, on whichever event loop they wait."""
        for wake in tuple(self._sleepers):
            wake()

    async def until_due(
        self, timeout_ms: int, time_left: Callable[[], Awaitable[int | None]]
    ) -> None:
        """Return once `time_left()`, in milliseconds, is 0 or less, or after `timeout_ms`.

        `time_left` returns None if nothing falls due.
        """
        end = time.monotonic() + timeout_ms / 1000
        while (patience := end - time.monotonic()) > 0:
            # Read first: what is written while we look must end the sleep after it.
            seen = self._position()
            left_ms = await time_left()
            if left_ms is not None and left_ms <= 0:
                return
            await self._sleep(patience if left_ms is None else min(patience, left_ms / 1000), seen)

    async def _sleep(self, seconds: float, seen: object) -> None:
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        def wake_from_any_thread() -> None:
            with suppress(RuntimeError):  # the loop is closed: no caller waits there
                loop.call_soon_threadsafe(wake)

        ending = looking = loop.call_later(seconds, wake)

        def look() -> None:
            nonlocal looking
            if self._position() != seen:
                wake()
            else:
                looking = loop.call_later(random.uniform(*_LOOK_SECONDS), look)  # noqa: S311

        look()
        self._sleepers.add(wake_from_any_thread)
        try:
            await woken
        finally:
            self._sleepers.discard(wake_from_any_thread)
            looking.cancel()
            ending.cancel()
