"""Claiming entries: as many as there are free slots, as soon as one is due, without a busy loop."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from treadle.backends.cancellation import shielded
from treadle.core.mailbox_pauses import is_paused
from treadle.core.mailboxes import UNFINISHED, MailboxEntry
from treadle.errors import CorruptRecord
from treadle.store.pages import every_by_cursor
from treadle.worker._attempt import Attempt
from treadle.worker._clock import sleep, timeout
from treadle.worker._decision import is_suspect
from treadle.worker._events import Outage
from treadle.worker._lease import Lease
from treadle.worker._settings import RunContext
from treadle.worker._slots import Slots
from treadle.worker.backoff import OUTAGE_BACKOFF, POLL, TRANSIENT

_STORE_WAIT_MS = 5_000
"""How much longer than a poll the store's wait may take, before the worker ends it itself.

With a manual clock, which ends the polls, it is the store's timeout, and longer than any poll.
"""

_NOTIFICATION_GAP_S = 0.01
"""The least time between a claim that a notification caused in vain and the next such claim."""


class Claimer:
    """Claims until it is stopped, or until the store is idle.

    Args:
        context: the store, the settings and the clock.
        slots: where attempts are started.
        release: releases claims that came too late to be started.
    """

    def __init__(
        self,
        context: RunContext,
        slots: Slots,
        release: Callable[[Sequence[Lease]], Awaitable[None]],
    ) -> None:
        self._context = context
        self._settings = context.settings
        self._mailboxes = context.store.mailboxes
        self._clock = context.clock
        self._slots = slots
        self._release = release
        self._left: str | None = None
        """The last entry that a look for what is left has found."""
        self._suspects: deque[str] = deque()
        """Entries to be tried alone: see `is_suspect`."""
        self._is_stopped = False
        self._is_woken = False
        self._is_notified = False
        self._nap: asyncio.Timeout | None = None

    async def run(self, *, until_idle: bool, while_due: bool = False) -> None:
        """Claim until `stop`, or until nothing is left that the arguments wait for.

        Args:
            until_idle: wait for all that time or another worker ends.
            while_due: wait for nothing but the handlers that run.

        Raises:
            StoreClosed: the store was closed under the worker.
        """
        in_vain = failures = 0
        while not self._is_stopped:
            in_vain = 0 if self._is_woken else in_vain
            self._is_woken = False
            # A handler that ends during the claim may have sent what the claim did not see.
            is_quiet = self._slots.is_empty and not self._suspects
            try:
                claimed = await self._claim()
                self._context.health.succeed("claim")
                in_vain = 0 if claimed else in_vain + 1
                if while_due and is_quiet and not claimed:
                    return
                if until_idle and not claimed and await self._is_idle():
                    return
                await self._sleep_until_woken(self._wait(in_vain))
                failures = 0
            except TRANSIENT as error:
                failures += 1
                await self._rest(error, failures)

    def wake(self) -> None:
        """Claim again now: a slot is free, or a mailbox has no holder any longer."""
        self._is_woken = True
        nap, self._nap = self._nap, None
        if nap is not None:
            nap.reschedule(0)

    def stop(self) -> None:
        """Claim nothing more, and end. Entries of a claim under way are released."""
        self._is_stopped = True
        self.wake()

    async def _claim(self) -> int:
        free = self._count_claimable()
        if not free:
            return 0
        # shielded: a claim whose answer nobody takes would hold its entries for a whole lease
        return await shielded(self._take(free), on_cancel=self.stop)

    def _count_claimable(self) -> int:
        """The number of entries to claim now; none while a suspect waits for the others to end."""
        return 0 if self._suspects and not self._slots.is_empty else self._slots.count_free()

    async def _take(self, limit: int) -> int:
        # from before the call, so that our deadline is never later than the store's
        deadline = self._clock.time() + self._settings.lease_s
        async with timeout(self._clock, self._settings.lease_s):
            entries = await self._choose(limit)
        leases = [Lease(entry, deadline, self._clock) for entry in entries]
        if entries:
            self._context.store_clock.observe(entries[-1].updated_at)
        if self._is_stopped:
            await self._release(leases)
            return len(leases)
        suspects = [lease for lease in leases if self._is_suspect(lease)]
        early = self._set_apart(suspects, leases)
        if early:  # first, as one of those that are started may end the process
            await self._release(early)
        is_alone = bool(suspects) and not early
        for lease in leases:
            if lease not in early:
                attempt = Attempt(lease)
                attempt.is_alone = is_alone
                self._slots.start(attempt)
        return len(leases)

    async def _choose(self, limit: int) -> Sequence[MailboxEntry]:
        settings = self._settings
        if self._suspects:
            entry = await self._claim_suspect(self._suspects[0])
            self._suspects.popleft()
            return () if entry is None else (entry,)
        return await self._mailboxes.claim(
            limit,
            consumer=settings.consumer,
            lease_ms=settings.lease_ms,
            mailbox_id=settings.mailbox_id,
            mailbox_prefix=settings.mailbox_prefix,
            except_prefix=settings.except_prefix,
        )

    async def _claim_suspect(self, entry_id: str) -> MailboxEntry | None:
        settings = self._settings
        try:
            return await self._mailboxes.claim_entry(
                entry_id, consumer=settings.consumer, lease_ms=settings.lease_ms
            )
        except CorruptRecord:  # like what other claims cannot read, it is left out
            return None

    def _set_apart(self, suspects: Sequence[Lease], leases: Sequence[Lease]) -> Sequence[Lease]:
        """Return the claims that have to be released, until nothing runs beside them."""
        if len(leases) == 1 and self._slots.is_empty:
            return ()
        self._suspects += (lease.entry_id for lease in suspects)
        return suspects

    def _is_suspect(self, lease: Lease) -> bool:
        return is_suspect(lease.entry, self._settings.max_attempts)

    async def _wait(self, in_vain: int) -> None:
        """Return when there may be something to claim: at a notification, or at the next poll."""
        if not self._count_claimable():
            await asyncio.Event().wait()  # for ever: a slot that becomes free wakes us
        began = time.monotonic()
        was_notified = self._is_notified
        pause_ms = POLL.pause_ms(in_vain, self._context.random)
        self._is_notified = await self._await_notification(pause_ms / 1000)
        if self._is_notified and was_notified and in_vain:
            # real time, whatever the worker's clock: this spares the store, it follows no schedule
            await asyncio.sleep(max(began + _NOTIFICATION_GAP_S - time.monotonic(), 0))

    async def _await_notification(self, seconds: float) -> bool:
        """Return True when the store notifies, False after `seconds`."""
        if isinstance(self._clock, asyncio.AbstractEventLoop):
            # The store ends the wait. If we cancelled it at each poll, a read that hangs would stay
            # in its thread each time, until no thread is left for other reads.
            began = self._clock.time()
            async with timeout(self._clock, seconds + _STORE_WAIT_MS / 1000):
                await self._wait_for_work(math.ceil(seconds * 1000))
            return self._clock.time() - began < seconds
        poll = asyncio.timeout(None)
        alarm = self._clock.call_later(seconds, lambda: poll.reschedule(0))
        try:
            async with poll:
                await self._wait_for_work(_STORE_WAIT_MS)
        except TimeoutError:
            if not poll.expired():
                raise  # the store's own
            return False
        finally:
            alarm.cancel()
        return True

    async def _wait_for_work(self, timeout_ms: int) -> None:
        settings = self._settings
        await self._mailboxes.wait(
            timeout_ms,
            mailbox_id=settings.mailbox_id,
            mailbox_prefix=settings.mailbox_prefix,
            except_prefix=settings.except_prefix,
        )

    async def _is_idle(self) -> bool:
        if not self._slots.is_empty:
            return False
        async with timeout(self._clock, self._settings.lease_s):
            return not await self._any_to_wait_for()

    async def _any_to_wait_for(self) -> bool:
        """Return whether anything is left that time or another worker ends.

        That is no entry which cannot be read, or whose mailbox cannot be, and none of a paused one.
        """
        # What others have waiting may be much, so what was found is not searched for again.
        if self._left is not None and await self._is_left(self._left):
            return True
        paused: dict[str, bool] = {}
        listing = partial(
            self._mailboxes.search_entries,
            mailbox_id=self._settings.mailbox_id,
            statuses=UNFINISHED,
            order="asc",
        )
        async for entry in every_by_cursor(listing):
            if not self._settings.includes(entry.mailbox_id):
                continue
            self._left = entry.entry_id
            if self._is_held(entry):
                return True
            if entry.mailbox_id not in paused:
                paused[entry.mailbox_id] = await self._is_paused(entry.mailbox_id)
            if not paused[entry.mailbox_id]:
                return True
        return False

    async def _is_left(self, entry_id: str) -> bool:
        try:
            entry = await self._mailboxes.load_entry(entry_id)
        except CorruptRecord:
            return False
        if entry is None or entry.status not in UNFINISHED:
            return False
        return self._is_held(entry) or not await self._is_paused(entry.mailbox_id)

    def _is_held(self, entry: MailboxEntry) -> bool:
        if entry.status != "claimed":
            return False
        return entry.lease_until is None or entry.lease_until > self._context.store_clock.now()

    async def _is_paused(self, mailbox_id: str) -> bool:
        try:
            state = await self._mailboxes.load(mailbox_id)
        except CorruptRecord:
            return True  # nobody can settle what is in it
        return is_paused(state, self._context.store_clock.now())

    async def _rest(self, error: Exception, failures: int) -> None:
        pause_ms = OUTAGE_BACKOFF.pause_ms(failures, self._context.random)
        self._context.health.fail("claim", error)
        self._context.emit(Outage(operation="claim", error=error, retry_in_ms=pause_ms))
        self._is_woken = False  # a free slot does not make the store available again
        await self._sleep_until_woken(sleep(self._clock, pause_ms / 1000))

    async def _sleep_until_woken(self, nap: Coroutine[Any, Any, None]) -> None:
        """Await `nap` until it ends or `wake` is called; skip it if that has happened already."""
        if self._is_woken or self._is_stopped:
            nap.close()
            return
        self._nap = scope = asyncio.timeout(None)
        try:
            async with scope:
                await nap
        except TimeoutError:
            if not scope.expired():
                raise  # the store's own
        finally:
            self._nap = None
