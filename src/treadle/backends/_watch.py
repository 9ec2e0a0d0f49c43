"""Watching a store: one timer of an event loop looks whether any process has written.

The cost must not grow with the number of those who want to know. So all of an event loop share one
look: the callers that wait for work (`_waiting.py`) and those that listen for hints (`_hints.py`).
"""

import asyncio
import math
import random
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

OFTEN = (0.025, 0.035)
"""How often to look whether another process has written, in seconds. Random, so that many processes
do not look at the same moment."""
SELDOM = (0.25, 0.5)
"""The same where a look only has to find what was not heard of."""


_RARE_SECONDS = 0.1


class LookedAtRarely(Generic[T]):
    """A part of a position that costs more to look at, and is looked at ten times a second.

    It finds what no hint tells: a process that died after its commit, files that are replaced.
    """

    def __init__(self, look: Callable[[], T]) -> None:
        self._look = look
        self._looked_at = -math.inf
        self._seen: T

    def __call__(self) -> T:
        """Return what was seen at the last look, if it is not too long ago."""
        now = time.monotonic()
        if now - self._looked_at >= _RARE_SECONDS:
            self._seen = self._look()
            self._looked_at = now
        return self._seen


class Watch:
    """Calls functions when the store has been written.

    Args:
        position: returns cheaply how far the store has been written, by any process. If it raises,
            that is a change too: those who are called look for themselves.
        pauses: the shortest and the longest time between two looks, in seconds.
    """

    def __init__(self, position: Callable[[], object], pauses: tuple[float, float] = OFTEN) -> None:
        self.position = position
        self._pauses = pauses
        self._lookers: dict[asyncio.AbstractEventLoop, _Looker] = {}

    def wake(self) -> None:
        """Look now, on each event loop where somebody watches; may be called on any thread."""
        for loop, looker in tuple(self._lookers.items()):
            try:
                loop.call_soon_threadsafe(looker.look)
            except RuntimeError:  # the loop is closed: nobody watches there
                self._lookers.pop(loop, None)

    def start(self, on_change: Callable[[], None]) -> None:
        """Call `on_change` on the running event loop after every write from now on."""
        loop = asyncio.get_running_loop()
        if loop not in self._lookers:
            self._lookers[loop] = _Looker(loop, self.position, self._pauses)
        self._lookers[loop].callbacks[on_change] = None

    def stop(self, on_change: Callable[[], None]) -> None:
        """Do not call `on_change` on the running event loop any longer."""
        loop = asyncio.get_running_loop()
        looker = self._lookers.get(loop)
        if looker is not None:
            looker.callbacks.pop(on_change, None)
            if not looker.callbacks:
                looker.end()
                del self._lookers[loop]


class _Looker:
    """Looks at regular intervals, on one event loop, until it is ended."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        position: Callable[[], object],
        pauses: tuple[float, float],
    ) -> None:
        self._loop = loop
        self._position = position
        self._pauses = pauses
        self.callbacks: dict[Callable[[], None], None] = {}
        self._seen = self._look()
        self._timer = self._later()

    def look(self) -> None:
        """Call the callbacks if the store has been written since the last look."""
        self._timer.cancel()
        if not self.callbacks:  # it was ended after somebody has asked for this look
            return
        self._timer = self._later()
        seen, self._seen = self._seen, self._look()
        if self._seen != seen:
            for on_change in tuple(self.callbacks):
                on_change()

    def end(self) -> None:
        """Look no longer."""
        self._timer.cancel()

    def _later(self) -> asyncio.TimerHandle:
        return self._loop.call_later(random.uniform(*self._pauses), self.look)  # noqa: S311

    def _look(self) -> object:
        try:
            return self._position()
        except Exception as error:  # those who are called meet it themselves
            return type(error), str(error)
