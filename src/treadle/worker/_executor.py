"""A delivery from its claim to its outcome: its handler runs, then its entries are settled."""

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Sequence
from contextvars import copy_context
from types import CoroutineType
from typing import Any, TypeAlias

from treadle.core.claims import Release
from treadle.errors import InvalidValue
from treadle.worker._attempt import Attempt, Ends, accepted, ended
from treadle.worker._blocking import call_blocking
from treadle.worker._decision import LONE_ATTEMPTS, TooManyAttempts, decide
from treadle.worker._delivery import Delivery
from treadle.worker._events import Claimed
from treadle.worker._giving_up import GivingUp
from treadle.worker._lease import Lease
from treadle.worker._outcomes import Settler
from treadle.worker._settings import RunContext
from treadle.worker._taking import Taker
from treadle.worker._tasks import enter_handler, in_place_of
from treadle.worker._watcher import Watcher
from treadle.worker.own_calls import begin_calls_of_delivery

AsyncHandler: TypeAlias = Callable[[Delivery], Awaitable[None]]
"""An async function that processes an entry."""
BlockingHandler: TypeAlias = Callable[[Delivery], None]
"""A plain function that processes an entry; it runs in a thread."""
Handler: TypeAlias = AsyncHandler | BlockingHandler
"""A function that processes an entry."""

_LOGGER = logging.getLogger("treadle.worker")


class Executor:
    """Runs deliveries."""

    def __init__(
        self,
        context: RunContext,
        handler: Handler,
        settler: Settler,
        watcher: Watcher,
        giving_up: GivingUp | None = None,
    ) -> None:
        self._context = context
        self._handler = handler
        self._settler = settler
        self._giving_up = giving_up
        self._taker = Taker(context, settler, watcher)
        self._is_async = _is_async(handler)
        self._loop = asyncio.get_running_loop()
        self._has_warned = False

    def begin(self, attempt: Attempt) -> "asyncio.Task[None]":
        """Begin the handler of an attempt, in a task of its own."""
        # The handler inherits what a hook sets, such as the span of a trace; no other one does.
        context = copy_context()
        context.run(begin_calls_of_delivery)
        context.run(self._context.emit, Claimed(entry=attempt.first.entry))
        attempt.context = context.copy()  # without what the handler sets
        name = f"treadle-{attempt.first.entry_id}"
        work = self._call(attempt)
        attempt.handling = self._loop.create_task(work, name=name, context=context)
        return attempt.handling

    async def _call(self, attempt: Attempt) -> None:
        try:
            self._check_attempts(attempt.first)
            further = self._context.settings.coalesce - 1
            if further:
                await self._coalesce(attempt, further)
            enter_handler()
            delivery = Delivery(self._context.store, attempt, self._taker)
            if self._is_async:
                result = self._handler(delivery)
            else:
                result = await call_blocking(self._handler, delivery, attempt, self._context.clock)
            if type(result) is CoroutineType or inspect.isawaitable(result):
                await result
            elif isinstance(result, Generator | AsyncGenerator):
                raise TypeError("the handler returned a generator, and nothing has run it")
        except (SystemExit, KeyboardInterrupt) as error:
            raise in_place_of(error) from error

    async def _coalesce(self, attempt: Attempt, further: int) -> None:
        async def take() -> None:
            await self._taker.take(attempt, further)

        await self._settler.through_outages("take", [attempt.first], take)

    async def accept(self, attempts: Sequence[Attempt]) -> None:
        """Accept what handlers that have returned have left, all of it in one commit.

        If that fails, each attempt is concluded by itself, so that none suffers from another.

        Raises:
            StoreClosed: the store was closed under the worker.
        """
        lost = [each for each in attempts if not each.can_be_accepted]
        if lost:  # since their handlers ended
            kept = [each for each in attempts if each.can_be_accepted]
            await asyncio.gather(self.accept(kept), *map(self.conclude, lost))
            return
        left: list[tuple[Attempt, list[Lease]]] = []
        for attempt in attempts:
            self._settler.report(attempt.leases)
            held = attempt.list_held()
            if held:
                self._warn_if_nothing_written(attempt)
                left.append((attempt, held))
        together = [lease for _, held in left for lease in held]
        if len(left) > 1 and await self._settler.accept_together(together):
            return
        await asyncio.gather(
            *(_within(attempt, self._settle(accepted(held), None)) for attempt, held in left)
        )
        await self._settler.note_lost(together)

    async def conclude(self, attempt: Attempt) -> None:
        """Settle what a handler has left, and give back what it has not asked for.

        Nothing is written for a claim that is lost.

        Raises:
            StoreClosed: the store was closed under the worker.
        """
        await _within(attempt, self._conclude(attempt))

    async def _conclude(self, attempt: Attempt) -> None:
        error = attempt.error
        self._settler.report(attempt.leases)
        if attempt.is_settled and error is not None and not attempt.is_stopped:
            message = "the handler failed after it had settled entry %r; the entry stays settled"
            _LOGGER.warning(message, attempt.first.entry_id, exc_info=error)
        held = attempt.list_held()
        if attempt.loss is not None or attempt.is_stopped:
            await self._settler.settle(ended(held, Release), or_lose=True)
        elif error is not None:
            await self._fail(held, error)
        elif held:
            self._warn_if_nothing_written(attempt)
            await self._settle(accepted(held), None)
        await self._settler.note_lost(attempt.leases)
        await self._settler.release(attempt.kept)
        if attempt.first.is_lost and attempt.first.after_loss is not None:
            await attempt.first.after_loss()

    async def _settle(self, ends: Ends, cause: BaseException | None) -> None:
        try:
            await self._settler.settle(ends, cause)
        except InvalidValue as refusal:
            error = cause or refusal
            await self._fail([lease for lease, _ in ends], error)

    async def _fail(self, held: Sequence[Lease], error: BaseException) -> None:
        """Retry entries, or give them up."""
        ends = self._decide(held, error)
        if self._giving_up is not None and await self._giving_up.settle(ends, error):
            return
        try:
            await self._settler.settle(ends, error)
        except InvalidValue:
            await self._settler.settle(self._decide(held, error), error, or_lose=True)

    def _warn_if_nothing_written(self, attempt: Attempt) -> None:
        """Warn, once, of a handler that may have forgotten its batch."""
        if attempt.has_committed or self._has_warned:
            return
        self._has_warned = True
        message = (
            "the handler returned without a batch: entry %r is accepted, and nothing was written "
            "with it; if that is intended, end the handler with "
            "`async with delivery.batch(): pass` (this is logged once)"
        )
        _LOGGER.warning(message, attempt.first.entry_id)

    def _decide(self, leases: Sequence[Lease], error: BaseException) -> Ends:
        settings = self._context.settings
        settlements = decide(
            [lease.entry for lease in leases],
            error,
            max_attempts=settings.max_attempts,
            backoff=settings.backoff,
            keep_order=settings.keep_order,
            random=self._context.random,
            now=self._context.store_clock.now(),
        )
        return list(zip(leases, settlements, strict=True))

    def _check_attempts(self, lease: Lease) -> None:
        """Give up an entry whose handler crashes its process: no failure is ever recorded.

        Or one whose failures were recorded while more attempts were allowed than now.
        """
        attempt, most = lease.entry.attempt_count, self._context.settings.max_attempts
        earlier = attempt - 1
        if earlier < most + LONE_ATTEMPTS:
            return
        last = lease.entry.last_error
        why = f"the last error: {last}" if last else "they ended with their processes, or hung"
        limit = f"the most is {most}, and then {LONE_ATTEMPTS} alone"
        raise TooManyAttempts(f"attempt {attempt} is not made: {earlier} were, {limit}; {why}")


def _within(attempt: Attempt, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
    """Begin work in the context of an attempt, so that it belongs to the trace of that."""
    return asyncio.get_running_loop().create_task(work, context=attempt.context)


def _is_async(handler: Handler) -> bool:
    call = getattr(handler, "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(call)
