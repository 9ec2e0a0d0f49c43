"""Watching a store: one timer of an event loop looks whether any process has written.

The cost must not grow with the number of those who want to know. So all of an event loop share one
look: the callers that wait for work (`_waiting.py`) and those that listen for hints (`_hints.py`).
"""

import asyncio
import random
from collections.abc import Callable

_LOOK_SECONDS = (0.01, 0.025)
"""How often to look whether another process has written. Random, so that many processes do not look
at the same moment."""


class Watch:
    """Calls functions when the store has been written.

    Args:
        position: returns cheaply how far the store has been written, by any process. If it raises,
            that is a change too: those who are called look for themselves.
    """

    def __init__(self, position: Callable[[], object]) -> None:
        self.position = position
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
            self._lookers[loop] = _Looker(loop, self.position)
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

    def __init__(self, loop: asyncio.AbstractEventLoop, position: Callable[[], object]) -> None:
        self._loop = loop
        self._position = position
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
        return self._loop.call_later(random.uniform(*_LOOK_SECONDS), self.look)  # noqa: S311

    def _look(self) -> object:
        try:
            return self._position()
        except Exception as error:  # those who are called meet it themselves
            return type(error), str(error)
