"""Rebuilding states without keeping the event loop from its other work."""

import asyncio
from collections.abc import Generator

from treadle.core.codec import Json
from treadle.core.threads import Thread, state_in_slices


class Rebuilding:
    """The states that a server rebuilds: what takes long is done in slices, in turns.

    However many there are, the event loop does one slice between two rounds of everything else.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()  # fair: who has waited longest is next

    async def state_of(self, thread: Thread) -> Json:
        """Return the state of a thread with all patches applied.

        Raises:
            PatchError: as for `Thread.rebuild_state`.
        """
        return await self.completed(state_in_slices(thread))

    async def completed(self, slices: Generator[None, None, Json]) -> Json:
        """Return what the slices together give; the first is done at once, as most have only one.

        Raises:
            PatchError: a slice does.
        """
        try:
            next(slices)
            while True:
                async with self._turn:
                    await asyncio.sleep(0)
                    next(slices)
        except StopIteration as end:
            return end.value
