"""Renewing leases: one write for all claims of a worker, every third of a lease."""

import asyncio
from collections.abc import Callable, Sequence

from treadle.core.claims import ExtendLease
from treadle.errors import StoreClosed, TreadleError
from treadle.worker._clock import sleep, timeout
from treadle.worker._events import LeaseLost, Outage
from treadle.worker._lease import Lease
from treadle.worker._outcomes import Settler
from treadle.worker._settings import RunContext
from treadle.worker.backoff import OUTAGE_BACKOFF, TRANSIENT

_NO_ANSWER = "it ran out while the store did not answer"


class Heartbeat:
    """Renews the leases that `list_leases` returns, for as long as it runs."""

    def __init__(
        self, context: RunContext, settler: Settler, list_leases: Callable[[], Sequence[Lease]]
    ) -> None:
        self._context = context
        self._clock = context.clock
        self._lease_s = context.settings.lease_s
        # a third: two renewals may fail before the lease ends
        self._interval_s = self._lease_s / 3
        self._settler = settler
        self._list_leases = list_leases

    async def run(self) -> None:
        """Renew until cancelled.

        Raises:
            StoreClosed: the store was closed under the worker.
        """
        while True:
            await sleep(self._clock, self._interval_s)
            await self._beat()

    async def _beat(self) -> None:
        """Renew all leases once; while the store is not available, try until they have ended.

        The first try includes leases that have expired because a handler blocked the event loop: if
        no other worker has claimed their entries, the store still renews them.
        """
        failures = 0
        while leases := self._list_held(drop_ended=failures > 0):
            try:
                await self._renew(leases)
                break
            except TRANSIENT as error:
                failures += 1
                self._context.health.fail("renew", error)
                await self._pause(leases, error, failures)
        self._context.health.succeed("renew")

    def _list_held(self, *, drop_ended: bool) -> list[Lease]:
        held: list[Lease] = []
        for lease in self._list_leases():
            if not lease.is_open:
                continue
            if not drop_ended or lease.remaining_s() > 0:
                held.append(lease)
            elif not lease.is_settling and lease.lose(_NO_ANSWER):
                self._context.emit(LeaseLost(entry=lease.entry, reason=_NO_ANSWER))
        return held

    async def _renew(self, leases: Sequence[Lease]) -> None:
        """Renew leases, all at once; if one of them cannot be renewed, each by itself.

        Raises:
            StoreUnavailable, OSError: the store is not available.
            StoreClosed: the store was closed under the worker.
        """
        try:
            await self._renew_together(leases)
        except (StoreClosed, *TRANSIENT):
            raise
        except TreadleError as error:  # such as an entry that somebody has damaged
            if len(leases) > 1:
                await asyncio.gather(*(self._renew([lease]) for lease in leases))
            elif not leases[0].is_settling:  # otherwise that write will tell
                self._settler.lose(leases[0], error)

    async def _renew_together(self, leases: Sequence[Lease]) -> None:
        renewals = tuple(
            ExtendLease(
                entry_id=lease.entry_id,
                claim_token=lease.claim_token,
                extension_ms=self._context.settings.lease_ms,
            )
            for lease in leases
        )
        # from before the write, so that our deadline is never later than the store's
        began = self._clock.time()
        first_end_s = _first_end_s(leases)
        limit_s = min(self._interval_s, first_end_s) if first_end_s > 0 else self._interval_s
        async with timeout(self._clock, limit_s):
            receipt = await self._context.store.commit(renewals)
        lost: list[Lease] = []
        for lease, is_held in zip(leases, receipt.results, strict=True):
            if is_held:
                lease.deadline = began + self._lease_s
            elif lease.is_open and not lease.is_settling:
                lost.append(lease)
        await asyncio.gather(*map(self._settler.explain, lost))

    async def _pause(self, leases: Sequence[Lease], error: Exception, failures: int) -> None:
        pause_s = min(
            OUTAGE_BACKOFF.pause_ms(failures, self._context.random) / 1000,
            self._interval_s / 3,
            max(_first_end_s(leases), 0),
        )
        self._context.emit(Outage(operation="renew", error=error, retry_in_ms=int(pause_s * 1000)))
        await sleep(self._clock, pause_s)


def _first_end_s(leases: Sequence[Lease]) -> float:
    """Return the seconds until the first of the leases ends."""
    return min(lease.remaining_s() for lease in leases)
