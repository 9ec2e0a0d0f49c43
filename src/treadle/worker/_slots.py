"""The slots of a running worker: the handlers that run, and what is settled after them."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeAlias

from treadle.worker._attempt import Attempt
from treadle.worker._clock import wait
from treadle.worker._executor import Executor
from treadle.worker._lease import Lease
from treadle.worker._settings import RunContext
from treadle.worker._watcher import Watcher

Settle: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
"""Settles attempts."""

_LOGGER = logging.getLogger("treadle.worker")


class Slots:
    """The attempts of a running worker.

    A slot is free as soon as its handler has ended, so that the worker claims while it settles what
    came before. Attempts that wait to be settled have as many slots again.

    Args:
        context: the settings and the clock.
        executor: runs and settles attempts.
        watcher: looks at their claims.
        on_free: called when there may be more to claim than before.
        is_ending: returns True if the event loop ends, and cancels handlers itself.
    """

    def __init__(
        self,
        context: RunContext,
        executor: Executor,
        watcher: Watcher,
        on_free: Callable[[], None],
        is_ending: Callable[[], bool],
    ) -> None:
        self._context = context
        self._concurrency = context.settings.concurrency
        self._executor = executor
        self._watcher = watcher
        self._on_free = on_free
        self._is_ending = is_ending
        self._loop = asyncio.get_running_loop()
        self._running: dict[asyncio.Task[None], Attempt] = {}
        self._ended: dict[Attempt, None] = {}
        """The attempts whose handlers have ended, until they are settled."""
        self._returned: list[Attempt] = []
        """Those whose handlers have ended in this turn of the event loop."""
        self._settling: set[asyncio.Task[None]] = set()
        self._emptied = asyncio.Event()
        self._failure: asyncio.Future[None] = self._loop.create_future()

    @property
    def is_empty(self) -> bool:
        """Whether no attempt is left, and all claims of earlier ones are settled or lost."""
        return not self._running and not self._ended

    def count_free(self) -> int:
        """Return the number of free slots; none while an entry is tried alone."""
        if len(self._running) + len(self._ended) == 1 and self._first().is_alone:
            return 0
        free = self._concurrency - len(self._running)
        return min(free, free + self._concurrency - len(self._ended))

    def list_leases(self) -> list[Lease]:
        """Return the claims of all attempts."""
        attempts = (*self._running.values(), *self._ended)
        return [lease for each in attempts for lease in (*each.leases, *each.kept)]

    def start(self, attempt: Attempt) -> None:
        """Begin the handler of an attempt."""
        handling = self._executor.begin(attempt)
        self._running[handling] = attempt
        self._emptied.clear()
        self._watcher.add(attempt.first)
        handling.add_done_callback(self._end)

    async def watch(self) -> None:
        """Raise what settling an attempt raises; until then, wait.

        Raises:
            StoreClosed: the store was closed under the worker.
        """
        await asyncio.shield(self._failure)

    async def drain(self) -> None:
        """Let handlers go on for the grace time, then cancel them, and wait until all is settled.

        Raises:
            StoreClosed: the store was closed under the worker.
        """
        if self._running:
            grace_s = self._context.settings.grace_ms / 1000
            await wait(self._context.clock, self._running, grace_s)
        if self._running:
            _LOGGER.info("cancelling %d handlers, the grace time is over", len(self._running))
        await self.cancel()
        if self._failure.done():
            self._failure.result()

    async def cancel(self) -> None:
        """Cancel the handlers that run, and wait until all is settled."""
        for attempt in self._running.values():
            attempt.cancel()
        if not self.is_empty:
            await self._emptied.wait()

    def _first(self) -> Attempt:
        return next(iter((*self._running.values(), *self._ended)))

    def _end(self, handling: "asyncio.Task[None]") -> None:
        """Free the slot of a handler that has ended, and settle it with others of this turn."""
        was_full = not self.count_free()
        attempt = self._running.pop(handling)
        self._ended[attempt] = None
        attempt.error = asyncio.CancelledError() if handling.cancelled() else handling.exception()
        # Whatever a handler raises as it is cancelled, the entry did not fail: the worker stopped.
        # `handling.cancelling()` does not tell: before Python 3.13, it stays raised after a task
        # group that has failed.
        if attempt.error is not None:
            attempt.is_stopped = attempt.is_cancelled or self._is_ending()
        if not self._returned:
            self._loop.call_soon(self._settle)
        self._returned.append(attempt)
        if was_full:
            self._on_free()

    def _settle(self) -> None:
        returned, self._returned = self._returned, []
        accepted: list[Attempt] = []
        for attempt in returned:
            if attempt.can_be_accepted:
                accepted.append(attempt)
            else:
                self._begin_to_settle([attempt], partial(self._executor.conclude, attempt))
        if accepted:
            self._begin_to_settle(accepted, partial(self._executor.accept, accepted))

    def _begin_to_settle(
        self, attempts: Sequence[Attempt], settle: Settle, *, is_again: bool = False
    ) -> None:
        task = asyncio.create_task(settle())
        self._settling.add(task)
        again = None if is_again else settle
        task.add_done_callback(partial(self._end_settling, attempts, again))

    def _end_settling(
        self, attempts: Sequence[Attempt], again: Settle | None, settling: "asyncio.Task[None]"
    ) -> None:
        self._settling.discard(settling)
        if again is not None and settling.cancelled():
            # The event loop ends, and has cancelled all of its tasks. A new one goes on.
            self._begin_to_settle(attempts, again, is_again=True)
            return
        self._remove(attempts, settling)

    def _remove(self, attempts: Sequence[Attempt], settling: "asyncio.Task[None]") -> None:
        """Forget attempts that are settled, or that cannot be."""
        for attempt in attempts:
            del self._ended[attempt]
        error = None if settling.cancelled() else settling.exception()
        if error is not None and not self._failure.done():
            self._failure.set_exception(error)
            self._failure.exception()  # or asyncio would log it where nobody watches any longer
        if self.is_empty:
            self._emptied.set()
        self._on_free()
