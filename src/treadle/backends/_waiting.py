"""Waiting for entries to fall due: one watcher looks for all callers of an event loop.

The cost of a wait must not grow with the number of callers. So the callers of a loop share one
watcher. When the store has changed, it asks once for all of them what is due, and wakes as many
callers as can expect to get something.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import islice
from typing import TypeAlias

from treadle.backends._watch import Watch
from treadle.core.id_ranges import Ids

_ASK_AGAIN_SECONDS = 0.01
"""How soon to ask again, while something is due and nobody has claimed it."""

TimesLeft: TypeAlias = Callable[[Sequence[Ids]], Awaitable[Sequence[int | None]]]
"""Returns, for each of these mailboxes, how many milliseconds are left until an entry of one is
claimable: 0 or less if one is, None if none ever is."""


class Waiting:
    """The callers that wait for an entry to fall due.

    Args:
        watch: knows when any process has written the store.
        times_left: asks the store what is due.
    """

    def __init__(self, watch: Watch, times_left: TimesLeft) -> None:
        self._watch = watch
        self._times_left = times_left
        self._watchers: dict[asyncio.AbstractEventLoop, _Watcher] = {}

    async def until_due(self, timeout_ms: int, mailboxes: Ids) -> None:
        """Return once an entry of these mailboxes is due, or after `timeout_ms`.

        It may return early, because another caller may get the entry first.
        """
        if timeout_ms <= 0:
            return
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_ms / 1000
        # Read first: a write after it must end the sleep.
        seen = self._watch.position()
        (left_ms,) = await self._times_left((mailboxes,))
        if left_ms is not None and left_ms <= 0:
            return
        watcher = self._watcher(loop)
        try:
            with suppress(TimeoutError):
                # not `wait_for`: before Python 3.12 it drops a cancellation that meets the result
                async with asyncio.timeout_at(end):
                    await watcher.sleep(mailboxes, seen)
        finally:
            if not watcher.sleepers:
                await self._end(loop, watcher)

    def _watcher(self, loop: asyncio.AbstractEventLoop) -> "_Watcher":
        watcher = self._watchers.get(loop)
        # A watcher that has woken its last sleeper has ended, and is here until that one has left.
        if watcher is None or watcher.task.done():
            watcher = self._watchers[loop] = _Watcher(self._watch, self._times_left)
            watcher.task = loop.create_task(watcher.run(), name="treadle-watcher")
        return watcher

    async def _end(self, loop: asyncio.AbstractEventLoop, watcher: "_Watcher") -> None:
        """End a watcher without sleepers, so that no task is left behind."""
        if self._watchers.get(loop) is watcher:
            del self._watchers[loop]  # before it ends: nobody may begin to sleep here any longer
        watcher.task.cancel()
        await asyncio.wait([watcher.task])


class _Watcher:
    """Looks for all sleepers of one event loop, and ends when none is left."""

    task: "asyncio.Task[None]"  # asyncio keeps no reference to it

    def __init__(self, watch: Watch, times_left: TimesLeft) -> None:
        self._watch = watch
        self._times_left = times_left
        self._seen: object = None
        self.sleepers: dict[Ids, dict[asyncio.Future[None], None]] = {}
        """The sleepers of the same mailboxes, in the order of their arrival."""
        self._share: dict[Ids, int] = {}
        """How many sleepers are woken next, of the mailboxes in which something is due."""
        self.changed = asyncio.Event()

    async def sleep(self, mailboxes: Ids, seen: object) -> None:
        """Return once this sleeper is woken. `seen` is the position when it last asked."""
        if mailboxes not in self.sleepers or seen != self._seen:
            self.changed.set()  # the watcher has not asked for it, or at another position
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sleepers.setdefault(mailboxes, {})[woken] = None
        try:
            await woken
        finally:
            self._remove(mailboxes, woken)

    async def run(self) -> None:
        """Wake sleepers until none is left. An error is the answer to all who sleep."""
        self._watch.start(self.changed.set)
        try:
            while self.sleepers:
                try:
                    await self._look()
                except Exception as error:
                    self._fail(error)
        finally:
            self._watch.stop(self.changed.set)

    async def _look(self) -> None:
        """Ask what is due, wake sleepers, and return when it is time to ask again."""
        self.changed.clear()
        self._seen = self._watch.position()
        asked = tuple(self.sleepers)
        times = await self._times_left(asked)
        pauses = [
            pause
            for mailboxes, left_ms in zip(asked, times, strict=True)
            if (pause := self._wake_due(mailboxes, left_ms)) is not None
        ]
        await self._until_changed(min(pauses, default=None))

    def _wake_due(self, mailboxes: Ids, left_ms: int | None) -> float | None:
        """Wake sleepers if something is due; return after how many seconds to ask again.

        One is woken at first. While something is still due, twice as many follow each time: there
        may be many entries, and those who were woken may not claim.
        """
        if left_ms is None or left_ms > 0:
            self._share.pop(mailboxes, None)
            return None if left_ms is None else left_ms / 1000
        share = self._share.get(mailboxes, 1)
        self._share[mailboxes] = 2 * share
        for woken in tuple(islice(self.sleepers.get(mailboxes, ()), share)):
            self._remove(mailboxes, woken)
            if not woken.done():
                woken.set_result(None)
        return _ASK_AGAIN_SECONDS

    def _fail(self, error: Exception) -> None:
        for mailboxes, sleepers in tuple(self.sleepers.items()):
            for woken in tuple(sleepers):
                self._remove(mailboxes, woken)
                if not woken.done():
                    woken.set_exception(error)

    def _remove(self, mailboxes: Ids, woken: "asyncio.Future[None]") -> None:
        sleepers = self.sleepers.get(mailboxes, {})
        sleepers.pop(woken, None)
        if not sleepers:
            self.sleepers.pop(mailboxes, None)
            self._share.pop(mailboxes, None)

    async def _until_changed(self, seconds: float | None) -> None:
        """Return once the store may have changed, or after `seconds`."""
        if self.sleepers:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.changed.wait()
