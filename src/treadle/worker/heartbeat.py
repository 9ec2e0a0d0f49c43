"""Renewing leases: one write for all of a worker's claims, at a third of the lease."""

import asyncio
import time
from collections.abc import Callable, Sequence

from treadle.core.commands import ExtendLease
from treadle.store.store import Store
from treadle.worker.events import LeaseLost, OnEvent, Outage
from treadle.worker.lease import Lease
from treadle.worker.outage import PATIENCE, TRANSIENT
from treadle.worker.settings import Settings
from treadle.worker.settler import Settler

_NO_ANSWER = "it ran out while the store did not answer"


class Heartbeat:
    """Renews the leases that `list_leases` gives, for as long as it runs."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        settler: Settler,
        *,
        list_leases: Callable[[], Sequence[Lease]],
        emit: OnEvent,
    ) -> None:
        self._store = store
        self._lease_ms = settings.lease_ms
        self._interval_s = settings.lease_s / 3
        self._settler = settler
        self._list_leases = list_leases
        self._emit = emit

    async def run(self) -> None:
        """Renew until cancelled.

        Raises:
            StoreClosed: the store was closed under the worker.
        """
        while True:
            await asyncio.sleep(self._interval_s)
            await self._beat()

    async def _beat(self) -> None:
        """Renew all leases once; while the store is away, try on until they are over.

        The first try includes those that are over already, because a handler kept the event loop
        busy: nobody may have taken them yet, which the store will tell.
        """
        failures = 0
        while leases := self._list_held(drop_ended=failures > 0):
            try:
                await self._renew(leases)
                return
            except TRANSIENT as error:
                failures += 1
                await self._rest(leases, error, failures)

    def _list_held(self, *, drop_ended: bool) -> list[Lease]:
        held: list[Lease] = []
        for lease in self._list_leases():
            if not lease.is_open:
                continue
            if not drop_ended or lease.remaining_s() > 0:
                held.append(lease)
            elif not lease.is_settling and lease.lose(_NO_ANSWER):
                self._emit(LeaseLost(entry=lease.entry, reason=_NO_ANSWER))
        return held

    async def _renew(self, leases: Sequence[Lease]) -> None:
        renewals = tuple(
            ExtendLease(
                entry_id=lease.entry_id,
                claim_token=lease.claim_token,
                extension_ms=self._lease_ms,
            )
            for lease in leases
        )
        began = time.monotonic()
        first_end_s = _first_end_s(leases)
        patience_s = min(self._interval_s, first_end_s) if first_end_s > 0 else self._interval_s
        async with asyncio.timeout(patience_s):
            receipt = await self._store.commit(renewals)
        for lease, is_held in zip(leases, receipt.results, strict=True):
            if is_held:
                lease.deadline = began + self._lease_ms / 1000
        lost = [
            lease
            for lease, is_held in zip(leases, receipt.results, strict=True)
            if not is_held and lease.is_open and not lease.is_settling
        ]
        await asyncio.gather(*map(self._settler.explain, lost))

    async def _rest(self, leases: Sequence[Lease], error: Exception, failures: int) -> None:
        pause_s = min(
            PATIENCE.pause_ms(failures) / 1000,
            self._interval_s / 3,
            max(_first_end_s(leases), 0),
        )
        self._emit(Outage(operation="renew", error=error, retry_in_ms=int(pause_s * 1000)))
        await asyncio.sleep(pause_s)


def _first_end_s(leases: Sequence[Lease]) -> float:
    """Seconds until the first of the leases is over."""
    return min(lease.remaining_s() for lease in leases)
