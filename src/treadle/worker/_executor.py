"""One delivery from its claim to its outcome: the handler runs, then the entry is settled."""

import asyncio
import dis
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from treadle.backends.cancellation import shielded
from treadle.core.claims import Ack, Release, Settlement
from treadle.errors import InvalidValue
from treadle.worker._blocking import call_blocking
from treadle.worker._decision import TooManyAttempts, decide, failure_of
from treadle.worker._delivery import Delivery
from treadle.worker._events import Claimed
from treadle.worker._lease import Lease
from treadle.worker._outcomes import Settler, event_for
from treadle.worker._settings import RunContext

AsyncHandler: TypeAlias = Callable[[Delivery], Awaitable[None]]
"""An async function that processes an entry."""
BlockingHandler: TypeAlias = Callable[[Delivery], None]
"""A plain function that processes an entry; it runs in a thread."""
Handler: TypeAlias = AsyncHandler | BlockingHandler
"""A function that processes an entry."""

_LOGGER = logging.getLogger("treadle.worker")


class Executor:
    """Runs deliveries."""

    def __init__(self, context: RunContext, handler: Handler, settler: Settler) -> None:
        self._context = context
        self._handler = handler
        self._settler = settler
        self._is_async = _is_async(handler)
        self._has_warned = False

    async def execute(self, lease: Lease) -> None:
        """Run the handler, then settle the entry; nothing is written once the lease is lost.

        Raises:
            StoreClosed: the store was closed under the worker.
            CancelledError: the delivery was cancelled; it is settled all the same.
        """
        self._context.emit(Claimed(entry=lease.entry))
        settlement, cause = await self._attempt(lease)
        await shielded(self._conclude(lease, settlement, cause))

    async def _attempt(self, lease: Lease) -> tuple[Settlement, BaseException | None]:
        """Run the handler. Returns how to settle the entry, and what the handler raised.

        The handler is a task of its own. Otherwise a CancelledError could mean two things: this
        delivery is cancelled, or something that the handler awaited was. (Before Python 3.13 a task
        group that failed in the handler leaves `task.cancelling()` raised.)
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
        # Whatever a handler raises as it is cancelled, the entry did not fail: the worker stopped.
        # But an exit, of a task that the handler started, may be what ended the event loop.
        if is_cancelled and not isinstance(error.__cause__, SystemExit):
            return Release(entry_id=lease.entry_id, claim_token=lease.claim_token), None
        return self._decide(lease, error), error

    async def _call(self, lease: Lease) -> None:
        self._check_attempts(lease)
        delivery = Delivery(self._context.store, lease)
        try:
            if self._is_async:
                result = self._handler(delivery)
            else:
                result = await call_blocking(self._handler, delivery, lease, self._context.clock)
            if inspect.isawaitable(result):
                await result
        except SystemExit as error:
            raise failure_of(error) from error
        except KeyboardInterrupt as error:
            if not _is_raised_by_code(error):
                raise
            raise failure_of(error) from error

    async def _conclude(
        self, lease: Lease, settlement: Settlement, cause: BaseException | None
    ) -> None:
        if lease.is_lost:
            return
        if lease.settlement is None:
            if cause is None and isinstance(settlement, Ack):
                self._warn_if_nothing_written(lease)
            await self._settle(lease, settlement, cause)
            return
        if cause is not None:
            message = "the handler failed after it had settled entry %r; the entry stays settled"
            _LOGGER.warning(message, lease.entry_id, exc_info=cause)
        self._context.emit(event_for(lease, lease.settlement))

    async def _settle(
        self, lease: Lease, settlement: Settlement, cause: BaseException | None
    ) -> None:
        try:
            await self._settler.settle(lease, settlement, cause)
        except InvalidValue as refusal:
            error = cause or refusal
            await self._settler.settle(lease, self._decide(lease, error), error, or_lose=True)

    def _warn_if_nothing_written(self, lease: Lease) -> None:
        """Warn, once, of a handler that may have forgotten its batch."""
        if lease.has_committed or self._has_warned:
            return
        self._has_warned = True
        message = (
            "the handler returned without a batch: entry %r is accepted, and nothing was written "
            "with it; if that is intended, end the handler with "
            "`async with delivery.batch(): pass` (this is logged once)"
        )
        _LOGGER.warning(message, lease.entry_id)

    def _decide(self, lease: Lease, error: BaseException) -> Settlement:
        settings = self._context.settings
        return decide(
            lease.entry,
            lease.claim_token,
            error,
            max_attempts=settings.max_attempts,
            backoff=settings.backoff,
            keep_order=settings.keep_order,
            random=self._context.random,
            now=self._context.store_clock.now(),
        )

    def _check_attempts(self, lease: Lease) -> None:
        """Give up an entry whose handler crashes its process: no failure is ever recorded."""
        earlier = lease.entry.attempt_count - 1
        if earlier <= self._context.settings.max_attempts:  # the last one more was alone
            return
        last = lease.entry.last_error or "none"
        raise TooManyAttempts(f"{earlier} attempts did not end; the last known error: {last}")


def _is_raised_by_code(error: KeyboardInterrupt) -> bool:
    """Return True if a `raise` in the handler raised it, and not Ctrl-C."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    if step is None or step.tb_frame.f_globals.get("__name__") == asyncio.runners.__name__:
        return False
    return step.tb_frame.f_code.co_code[step.tb_lasti] == dis.opmap["RAISE_VARARGS"]


def _is_async(handler: Handler) -> bool:
    call = getattr(handler, "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(call)
