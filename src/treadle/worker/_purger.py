"""Removing entries that ended long ago, from time to time."""

from treadle.worker._clock import sleep
from treadle.worker._events import Outage, Purged
from treadle.worker._settings import RunContext
from treadle.worker.backoff import TRANSIENT, Backoff

_SHORTEST_MS = 100
_LONGEST_MS = 600_000


class Purger:
    """Purges entries that ended `purge_after_ms` ago.

    It does so ten times in that span, but at most every 0.1 s and at least every 10 minutes. Jitter
    keeps the workers of a store from purging at the same moment.
    """

    def __init__(self, context: RunContext, purge_after_ms: int) -> None:
        self._context = context
        self._purge_after_ms = purge_after_ms
        interval_ms = max(_SHORTEST_MS, min(purge_after_ms // 10, _LONGEST_MS))
        self._interval = Backoff(base_ms=interval_ms, factor=1, max_ms=interval_ms)

    async def run(self) -> None:
        """Purge until cancelled.

        Raises:
            StoreClosed: the store was closed under the worker.
        """
        context = self._context
        while True:
            pause_ms = self._interval.pause_ms(1, context.random)
            await sleep(context.clock, pause_ms / 1000)
            try:
                await self._purge()
            except TRANSIENT as error:
                context.emit(Outage(operation="purge", error=error, retry_in_ms=pause_ms))

    async def _purge(self) -> None:
        context = self._context
        # by the store's clock: if ours is ahead of it, entries would be purged too early
        older_than = max(context.store_clock.now() - self._purge_after_ms, 0)
        count = await context.store.mailboxes.purge(older_than)
        if count:
            context.emit(Purged(count=count, older_than=older_than))
