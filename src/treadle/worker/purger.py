"""Removing entries that ended long ago, now and then."""

import asyncio

from treadle.store.store import Store
from treadle.worker.backoff import Backoff
from treadle.worker.events import OnEvent, Outage, Purged
from treadle.worker.outage import TRANSIENT
from treadle.worker.store_clock import StoreClock

_SHORTEST_MS = 100
_LONGEST_MS = 600_000


class Purger:
    """Purges entries that ended `purge_after_ms` ago, ten times in that span.

    At most every 0.1 s and at least every 10 minutes, jittered so that workers take turns.
    """

    def __init__(self, store: Store, purge_after_ms: int, clock: StoreClock, emit: OnEvent) -> None:
        self._store = store
        self._purge_after_ms = purge_after_ms
        self._clock = clock
        self._emit = emit
        interval_ms = max(_SHORTEST_MS, min(purge_after_ms // 10, _LONGEST_MS))
        self._interval = Backoff(base_ms=interval_ms, factor=1, max_ms=interval_ms)

    async def run(self) -> None:
        """Purge until cancelled.

        Raises:
            StoreClosed: the store was closed under the worker.
        """
        while True:
            pause_ms = self._interval.pause_ms(1)
            await asyncio.sleep(pause_ms / 1000)
            try:
                await self._purge()
            except TRANSIENT as error:
                self._emit(Outage(operation="purge", error=error, retry_in_ms=pause_ms))

    async def _purge(self) -> None:
        older_than = max(self._clock.now() - self._purge_after_ms, 0)
        count = await self._store.mailboxes.purge(older_than)
        if count:
            self._emit(Purged(count=count, older_than=older_than))
