"""Claiming: as much as there are free slots, as soon as there is something, and never in haste."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from treadle.backends.cancellation import shielded
from treadle.store.store import Store
from treadle.worker.backoff import Backoff
from treadle.worker.events import OnEvent, Outage
from treadle.worker.lease import Lease
from treadle.worker.outage import PATIENCE, TRANSIENT
from treadle.worker.settings import Settings
from treadle.worker.store_clock import StoreClock

_POLL = Backoff(base_ms=50, factor=2.0, max_ms=1_000)
"""How long to rely on a notification: short after the last activity, then longer.

So an entry that falls due `d` ms after it is late by about `d` at most, and never by more than 1 s.
"""

_HINT_GAP_S = 0.01
"""Between a claim in vain and the next one that a mere notification may cause, in seconds."""


class Claimer:
    """Claims until it is stopped, or until all is done.

    `count_free` tells how many slots are free, `start` starts a claim's handler, `give_back`
    releases claims that came too late to be started.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        clock: StoreClock,
        *,
        count_free: Callable[[], int],
        start: Callable[[Lease], None],
        give_back: Callable[[Sequence[Lease]], Awaitable[None]],
        emit: OnEvent,
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._count_free = count_free
        self._start = start
        self._give_back = give_back
        self._emit = emit
        self._is_stopped = False
        self._is_woken = False
        self._alarm: asyncio.Timeout | None = None

    async def run(self, *, until_idle: bool) -> None:
        """Claim until `stop`; with `until_idle` also until no entry is queued or claimed.

        Raises:
            StoreClosed: the store was closed under the worker.
        """
        in_vain = failures = 0
        while not self._is_stopped:
            in_vain = 0 if self._is_woken else in_vain
            self._is_woken = False
            try:
                taken = await self._claim()
                in_vain = 0 if taken else in_vain + 1
                if until_idle and not taken and await self._is_idle():
                    return
                await self._doze(self._wait(in_vain))
                failures = 0
            except TRANSIENT as error:
                failures += 1
                await self._rest(error, failures)

    def wake(self) -> None:
        """There may be more to claim: a slot is free, a mailbox has been let go."""
        self._is_woken = True
        alarm, self._alarm = self._alarm, None
        if alarm is not None:
            alarm.reschedule(0)

    def stop(self) -> None:
        """Claim nothing more, and end; what a claim under way still brings is given back."""
        self._is_stopped = True
        self.wake()

    async def _claim(self) -> int:
        free = self._count_free()
        if not free:
            return 0
        return await shielded(self._take(free), on_cancel=self.stop)

    async def _take(self, limit: int) -> int:
        deadline = time.monotonic() + self._settings.lease_s
        async with asyncio.timeout(self._settings.lease_s):
            entries = await self._store.mailboxes.claim(
                limit,
                consumer=self._settings.consumer,
                lease_ms=self._settings.lease_ms,
                mailbox_id=self._settings.mailbox_id,
            )
        leases = [Lease(entry, deadline) for entry in entries]
        for lease in leases:
            self._clock.observe(lease.entry.updated_at)
        if self._is_stopped:
            await self._give_back(leases)
            return len(leases)
        for lease in leases:
            self._start(lease)
        return len(leases)

    async def _wait(self, in_vain: int) -> None:
        if not self._count_free():
            await asyncio.Event().wait()  # until a slot is free, which wakes us
        began = time.monotonic()
        timeout_ms = _POLL.pause_ms(in_vain)
        async with asyncio.timeout(timeout_ms / 1000 + self._settings.lease_s):
            await self._store.mailboxes.wait(timeout_ms, mailbox_id=self._settings.mailbox_id)
        await asyncio.sleep(max(began + _HINT_GAP_S - time.monotonic(), 0))

    async def _is_idle(self) -> bool:
        if self._count_free() < self._settings.concurrency:
            return False
        async with asyncio.timeout(self._settings.lease_s):
            stats = await self._store.mailboxes.stats(self._settings.mailbox_id)
        return stats.queued + stats.claimed == 0

    async def _rest(self, error: Exception, failures: int) -> None:
        pause_ms = PATIENCE.pause_ms(failures)
        self._emit(Outage(operation="claim", error=error, retry_in_ms=pause_ms))
        self._is_woken = False  # a slot that is free does not bring the store back
        await self._doze(asyncio.sleep(pause_ms / 1000))

    async def _doze(self, nap: Coroutine[Any, Any, None]) -> None:
        """Await `nap`, or until woken, or not at all if that has happened already."""
        if self._is_woken or self._is_stopped:
            nap.close()
            return
        try:
            async with asyncio.timeout(None) as self._alarm:
                await nap
        except TimeoutError:
            if not self._is_woken:
                raise  # the store's own
        finally:
            self._alarm = None
