"""One delivery from its claim to its outcome: the handler runs, then the entry is settled."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from treadle.backends.cancellation import shielded
from treadle.core.commands import Ack, Release, Settlement
from treadle.store.store import Store
from treadle.worker.blocking import call_blocking
from treadle.worker.decision import TooManyAttempts, decide
from treadle.worker.delivery import Delivery
from treadle.worker.events import Claimed, OnEvent
from treadle.worker.fate import tell
from treadle.worker.lease import Lease
from treadle.worker.settings import Settings
from treadle.worker.settler import Settler
from treadle.worker.store_clock import StoreClock

AsyncHandler: TypeAlias = Callable[[Delivery], Awaitable[None]]
"""An async function that works an entry."""
BlockingHandler: TypeAlias = Callable[[Delivery], None]
"""A plain function that works an entry; it runs in a thread."""
Handler: TypeAlias = AsyncHandler | BlockingHandler
"""What works an entry."""

_LOGGER = logging.getLogger("treadle.worker")


class Executor:
    """Runs deliveries."""

    def __init__(
        self,
        store: Store,
        handler: Handler,
        settings: Settings,
        settler: Settler,
        clock: StoreClock,
        emit: OnEvent,
    ) -> None:
        self._store = store
        self._handler = handler
        self._settings = settings
        self._settler = settler
        self._clock = clock
        self._emit = emit
        self._is_async = _is_async(handler)

    async def execute(self, lease: Lease) -> None:
        """Run the handler, then settle the entry; once a lease is lost, nothing is written.

        Raises:
            StoreClosed: the store was closed under the worker.
            CancelledError: the delivery was cancelled; it is settled all the same.
        """
        self._emit(Claimed(entry=lease.entry))
        settlement, cause = await self._attempt(lease)
        await shielded(self._conclude(lease, settlement, cause))

    async def _attempt(self, lease: Lease) -> tuple[Settlement, BaseException | None]:
        """Run the handler. What is to become of the entry, and what the handler raised.

        The handler is a task of its own. Only so is it certain whether a CancelledError means that
        this delivery is cancelled, or just something the handler waited for (a task group that
        failed within it leaves traces in `task.cancelling()` before Python 3.13).
        """
        handling = asyncio.create_task(self._call(lease), name=f"treadle-handler-{lease.entry_id}")
        is_cancelled = False
        while not handling.done():
            try:
                await asyncio.wait({handling})
            except asyncio.CancelledError:
                is_cancelled = True
                lease.cancelled.set()
                handling.cancel()
        error = asyncio.CancelledError() if handling.cancelled() else handling.exception()
        if error is None:
            return Ack(entry_id=lease.entry_id, claim_token=lease.claim_token), None
        if is_cancelled:
            return Release(entry_id=lease.entry_id, claim_token=lease.claim_token), None
        return self._decide(lease, error), error

    async def _call(self, lease: Lease) -> None:
        self._check_attempts(lease)
        delivery = Delivery(self._store, lease)
        if self._is_async:
            result = self._handler(delivery)
        else:
            result = await call_blocking(self._handler, delivery, lease)
        if inspect.isawaitable(result):
            await result

    async def _conclude(
        self, lease: Lease, settlement: Settlement, cause: BaseException | None
    ) -> None:
        if lease.is_lost:
            return
        if lease.settlement is None:
            await self._settler.settle(lease, settlement, cause)
            return
        if cause is not None:
            message = "the handler failed after it had settled entry %r, which stays as it is"
            _LOGGER.warning(message, lease.entry_id, exc_info=cause)
        self._emit(tell(lease, lease.settlement))

    def _decide(self, lease: Lease, error: BaseException) -> Settlement:
        return decide(
            lease.entry,
            lease.claim_token,
            error,
            max_attempts=self._settings.max_attempts,
            backoff=self._settings.backoff,
            now=self._clock.now(),
        )

    def _check_attempts(self, lease: Lease) -> None:
        """An entry that takes its process down with it never fails, it only comes back."""
        earlier = lease.entry.attempt_count - 1
        if earlier < self._settings.max_attempts:
            return
        last = lease.entry.last_error or "none"
        raise TooManyAttempts(f"{earlier} attempts came to no end; the last error known: {last}")


def _is_async(handler: Handler) -> bool:
    call = getattr(handler, "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(call)
