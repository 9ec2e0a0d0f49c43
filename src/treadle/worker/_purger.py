"""Removing entries that ended long ago, and documents that have expired, from time to time."""

from treadle.core.limits import PAGE
from treadle.worker._clock import sleep
from treadle.worker._events import Outage, Purged
from treadle.worker._settings import RunContext
from treadle.worker.backoff import TRANSIENT, Backoff

_SHORTEST_MS = 100
_LONGEST_MS = 600_000
_MOST_BATCHES = 25
"""How many batches of expired documents are purged in a round, each of `PAGE` at most."""


class Purger:
    """Purges entries that ended `purge_after_ms` ago, and documents that have expired.

    It does so ten times in that span, but at most every 0.1 s and at least every 10 minutes. Jitter
    keeps the workers of a store from purging at the same moment.
    """

    def __init__(self, context: RunContext) -> None:
        self._context = context
        settings = context.settings
        self._purge_after_ms = settings.purge_after_ms
        self._purges_documents = settings.purges_documents
        span_ms = _LONGEST_MS * 10 if self._purge_after_ms is None else self._purge_after_ms
        interval_ms = max(_SHORTEST_MS, min(span_ms // 10, _LONGEST_MS))
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
        ended_before = max(context.store_clock.now() - (self._purge_after_ms or 0), 0)
        entries = documents = 0
        if self._purge_after_ms is not None:
            entries = await context.store.mailboxes.purge(ended_before)
        if self._purges_documents:
            documents = await self._purge_documents()
        if entries or documents:
            context.emit(Purged(count=entries, ended_before=ended_before, documents=documents))

    async def _purge_documents(self) -> int:
        """Purge documents in batches, as all of them could be more than fit into memory.

        What the store says to have expired is purged, unless it was written again meanwhile.
        """
        documents, count = self._context.store.documents, 0
        for _ in range(_MOST_BATCHES):
            expired = await documents.list_expired(limit=PAGE)
            if not expired:
                break
            last = max(each.expires_at or 0 for each in expired)
            among = [(each.collection, each.key) for each in expired]
            count += await documents.purge(last + 1, among=among)
            if len(expired) < PAGE:
                break
        return count
