"""Looks at many threads together: silent streams look now and then, as a hint may be lost."""

import asyncio
from contextlib import suppress

from treadle.core.thread_summaries import LoadThreadSummary, ThreadSummary
from treadle.store.store import Store

_AT_ONCE = 200
"""How many threads are read in one snapshot."""


class ThreadChecks:
    """The threads of streams, looked at together if their turn comes at the same time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._wanted: set[str] = set()
        self._look: asyncio.Task[dict[str, ThreadSummary | None]] | None = None
        """The look that begins next."""

    async def is_at(self, thread_id: str, version: int, own: str | None) -> bool:
        """Return whether a thread is at a version, and has an owner.

        False if that cannot be seen: a look at this thread alone then says why, and whether it is
        this one that cannot be read.

        Args:
            thread_id: the thread.
            version: the version that is known.
            own: whose thread it has to be; None: anybody's.
        """
        # It is done if its event loop ended before it began.
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._read())
        self._wanted.add(thread_id)
        # One stream that ends must not end the look of the others.
        summary = (await asyncio.shield(self._look)).get(thread_id)
        if summary is None or summary.version != version:
            return False
        return own is None or summary.resource_id == own

    async def _read(self) -> dict[str, ThreadSummary | None]:
        wanted, self._wanted, self._look = [*self._wanted], set(), None
        found: dict[str, ThreadSummary | None] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            ids = wanted[start : start + _AT_ONCE]
            # If one cannot be read, each looks by itself, and gets its own error.
            with suppress(Exception):
                summaries = await self._store.read(
                    *(LoadThreadSummary(thread_id=each) for each in ids)
                )
                found.update(zip(ids, summaries, strict=True))
        return found
