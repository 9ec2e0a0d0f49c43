"""Watching a store: one look for each event loop shows whether any process has written.

The cost must not grow with the number of watchers. So all of an event loop share one look: the
callers that wait for work (`_waiting.py`) and those that listen for hints (`_hints.py`). While
nothing is written it sleeps, and the process that writes wakes it (`_sleepers.py`).
"""

import asyncio
import random
import time
from collections.abc import Callable
from functools import partial

from treadle.backends._sleepers import ASLEEP_SECONDS, Sleeper, Sleepers

OFTEN = (0.025, 0.035)
"""How often to look whether another process has written, where nobody can wake this one, in
seconds. Random, so that many processes do not look at the same moment."""
SELDOM = (0.25, 0.5)
"""The same where a look only has to find what nobody has announced."""
_AWAKE = (0.008, 0.012)
"""The pause before the next look, and before sleep, after news or a wake-up."""
_COSTLY_SECONDS = 0.1
"""How old the last look at what costs more may be, in seconds."""


class Watch:
    """Calls functions when the store has been written.

    Args:
        position: returns cheaply how far the store has been written, by any process. If it raises,
            that is a change too: those who are called look for themselves.
        pauses: the shortest and the longest time between two looks, in seconds.
        costly: returns what costs more to look at, and changes without a hint: by a process that
            died after its commit, another program, or when files are replaced.
        sleepers: returns those who are woken when the position has changed; None if nobody is.
    """

    def __init__(
        self,
        position: Callable[[], object],
        pauses: tuple[float, float] = OFTEN,
        *,
        costly: Callable[[], object] = lambda: None,
        sleepers: Callable[[], Sleepers | None] = lambda: None,
    ) -> None:
        self.position = position
        self._pauses = pauses
        self._costly = costly
        self._sleepers = sleepers
        self._lookers: dict[asyncio.AbstractEventLoop, _Looker] = {}

    def wake(self) -> None:
        """Look now, on each event loop where somebody watches; may be called on any thread."""
        for loop, looker in tuple(self._lookers.items()):
            try:
                loop.call_soon_threadsafe(looker.look)
            except RuntimeError:  # the loop is closed: nobody watches there
                self._drop(loop)

    def start(self, on_change: Callable[[], None]) -> None:
        """Call `on_change` on the running event loop after every write from now on."""
        loop = asyncio.get_running_loop()
        if loop not in self._lookers:
            for other in tuple(self._lookers):
                if other.is_closed():
                    self._drop(other)
            looker = _Looker(loop, _Sight(self.position, self._costly), self._pauses)
            sleepers = self._sleepers()
            if sleepers is not None:
                looker.sleep_among(sleepers)
            self._lookers[loop] = looker
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

    def _drop(self, loop: asyncio.AbstractEventLoop) -> None:
        looker = self._lookers.pop(loop, None)
        if looker is not None:
            looker.abandon()


class _Looker:
    """Looks for one event loop, until it is ended."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sight: "_Sight", pauses: tuple[float, float]
    ) -> None:
        self._loop = loop
        self._sight = sight
        self._pauses = pauses
        self.callbacks: dict[Callable[[], None], None] = {}
        self._sleeper: Sleeper | None = None
        self._timer = self._later(pauses, self.look)

    def sleep_among(self, sleepers: Sleepers) -> None:
        """Sleep from now on while nothing is written."""
        self._sleeper = sleepers.sleeper()

    def look(self) -> None:
        """Call the callbacks if the store has been written since the last look."""
        if not self.callbacks:  # it was ended after somebody has asked for this look
            return
        if self._sight.has_changed():
            self._tell()
        elif self._sleeper is not None and self._fall_asleep(self._sleeper):
            self._look_asleep(self._sleeper)  # what was written just before has woken nobody
        else:
            self._set_timer(self._pauses, self.look)

    def end(self) -> None:
        """Look no longer."""
        self._timer.cancel()
        self._rise()
        if self._sleeper is not None:
            self._sleeper.close()

    def abandon(self) -> None:
        """Close the sleeper; the event loop is closed."""
        if self._sleeper is not None:
            self._sleeper.close()

    def _fall_asleep(self, sleeper: Sleeper) -> bool:
        if not sleeper.sleep():
            return False
        try:
            self._loop.add_reader(sleeper, self._on_woken)
        except (NotImplementedError, OSError):  # the event loop cannot wait for sockets
            sleeper.close()
            self._sleeper = None
            return False
        return True

    def _rise(self) -> None:
        # Awake, it hears nothing: a flood of datagrams must not keep it busy.
        if self._sleeper is not None and self._sleeper.is_asleep:
            self._loop.remove_reader(self._sleeper)
            self._sleeper.rise()

    def _on_woken(self) -> None:
        if self._sleeper is not None:
            self._sleeper.was_woken()
        self._rise()
        if self._sight.has_changed():
            self._tell()
        else:
            self._set_timer(_AWAKE, self.look)

    def _look_asleep(self, sleeper: Sleeper) -> None:
        if self._sight.has_changed(with_costly=True):
            self._tell()
        else:
            self._set_timer(ASLEEP_SECONDS, partial(self._look_for_missed, sleeper))

    def _look_for_missed(self, sleeper: Sleeper) -> None:
        """Look for what nobody has woken this one for."""
        position = self._sight.position
        if not sleeper.sleep():  # its place may have been taken
            self._rise()
            self.look()
            return
        self._look_asleep(sleeper)
        if self._sight.position != position:
            sleeper.was_missed()

    def _tell(self) -> None:
        self._rise()
        self._set_timer(self._pauses if self._sleeper is None else _AWAKE, self.look)
        for on_change in tuple(self.callbacks):
            on_change()

    def _set_timer(self, pauses: tuple[float, float], act: Callable[[], None]) -> None:
        self._timer.cancel()
        self._timer = self._later(pauses, act)

    def _later(self, pauses: tuple[float, float], act: Callable[[], None]) -> asyncio.TimerHandle:
        return self._loop.call_later(random.uniform(*pauses), act)  # noqa: S311


class _Sight:
    """What was seen at the last look."""

    def __init__(self, position: Callable[[], object], costly: Callable[[], object]) -> None:
        self._look = position
        self._look_at_costly = costly
        self.position = _seen(position)
        self._costly = _seen(costly)
        self._looked_at_costly = time.monotonic()

    def has_changed(self, *, with_costly: bool = False) -> bool:
        """Look; return whether something is new.

        Args:
            with_costly: look at what costs more, too, even if it was looked at just before.
        """
        position, costly = self.position, self._costly
        self.position = _seen(self._look)
        now = time.monotonic()
        if with_costly or now - self._looked_at_costly >= _COSTLY_SECONDS:
            self._costly = _seen(self._look_at_costly)
            self._looked_at_costly = now
        return self.position != position or self._costly != costly


def _seen(look: Callable[[], object]) -> object:
    try:
        return look()
    except Exception as error:  # the callbacks meet it themselves
        return type(error), str(error)
