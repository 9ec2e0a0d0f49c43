"""The worker: it claims entries, runs a handler on them, and settles each one."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import nullcontext, suppress
from random import Random, SystemRandom
from typing import Any

from treadle.backends.cancellation import shielded
from treadle.store.store import Store
from treadle.worker._checks import (
    check_clock,
    check_dead_letter_hook,
    check_handler,
    check_hook,
    check_random,
    check_store,
)
from treadle.worker._claimer import Claimer
from treadle.worker._clock import StoreClock, WorkerClock
from treadle.worker._events import OnEvent, guarded, log_events
from treadle.worker._executor import Executor, Handler
from treadle.worker._giving_up import GivingUp, OnDeadLetter
from treadle.worker._health import Health
from treadle.worker._heartbeat import Heartbeat
from treadle.worker._lease import Lease
from treadle.worker._outcomes import Settler
from treadle.worker._purger import Purger
from treadle.worker._settings import RunContext, Settings, new_consumer
from treadle.worker._slots import Slots
from treadle.worker._tasks import containing
from treadle.worker._watcher import Watcher
from treadle.worker.backoff import Backoff
from treadle.worker.own_calls import begin_own_calls
from treadle.worker.signals import stop_on_signals


class Worker:
    """Processes the entries of a store's mailboxes: `await Worker(store, handler).run()`.

    The handler receives a `Delivery`. If it returns, the entry is done. If it raises, the entry is
    retried after `backoff`, until it has been claimed `max_attempts` times; then it becomes a dead
    letter (at once if the handler raises `Reject`). The handler may run more than once for an
    entry, but what it commits through `delivery.batch()` takes effect once: a handler whose lease
    is lost, or whose mailbox is interrupted, is cancelled within milliseconds, in any process, and
    can write nothing more. (A store that gives no hints is asked once a second.)

    Entries of one mailbox are processed one at a time, or several as one delivery, so a mailbox
    uses at most one slot. Among mailboxes, the entry that has been due longest comes first. An
    entry that waits for its retry holds back those behind it in its mailbox, so their order is
    kept; see `keep_order`.

    Args:
        store: an open store. The worker does not close it.
        handler: an async function, or a plain function, which runs in a thread.
        concurrency: the number of handlers that run at a time, at least 1. While entries are
            settled, the handlers of the next ones run.
        coalesce: how many due entries of a mailbox are one delivery at most, at least 1. They are
            settled together; see `Delivery.entries`.
        lease_ms: how long a claim outlives its worker, in milliseconds, at least 1. The worker
            renews its leases every third of it.
        max_attempts: how many times an entry is claimed, at least 1. A clean stop releases its
            claims, which then do not count. An entry whose last attempt ended with its process is
            claimed three times more, and worked with nothing beside it: only then is it given up.
        backoff: how long a failed entry waits.
        keep_order: while a failed entry waits for its retry, claim nothing of its mailbox with the
            same or a lower priority. False: the entries behind it go on.
        consumer: the worker's name in `claimed_by`; by default host, process and a random part.
        mailbox_id: process this mailbox only.
        mailbox_prefix: process only mailboxes whose ids begin with this text, or with one of a
            tuple of them, so that several programs share a store: `mailbox_prefix="emails:"`.
        except_prefix: process no mailbox whose id begins with this text, or with one of a tuple of
            them: what other programs process.
        grace_ms: how long running handlers may continue after `stop`, in milliseconds, 0 or more.
            After that they are cancelled and their entries are released.
        purge_after_ms: remove entries of all mailboxes so many milliseconds after they ended, 0 or
            more; their dedupe keys are forgotten with them. Dead letters stay. None: never.
        purge_documents: remove documents of all collections once they have expired, at most 5,000
            in a round. There are ten rounds in `purge_after_ms`, or one every 10 minutes. None: if
            `purge_after_ms` is given.
        on_dead_letter: called before an entry becomes a dead letter because its handler has failed
            for good, with the event and a batch, as in `step.mailboxes.send(…)`. What it writes is
            committed with the dead letter, or not at all, so a program that waits for the entry
            hears of it. It may read first, for at most `lease_ms`. If it raises, or the store
            refuses what it writes, that is logged, and the entry becomes a dead letter without it.
            It is not called for entries that a batch of the handler or another program ends.
        on_event: receives every event, on the event loop. An exception that it raises is logged.
        clock: the time that the worker waits by. None: the event loop's. The times of leases and
            retries are the store's (`treadle.open_store` takes its clock).
        random: draws the jitter of delays. None: the system's random source.

    Raises:
        InvalidValue, InvalidId: an argument is out of its range, or of another kind; a handler that
            cannot be called with one argument is refused here, before it fails for real work.
    """

    def __init__(  # noqa: PLR0913
        self,
        store: Store,
        handler: Handler,
        *,
        concurrency: int = 8,
        coalesce: int = 1,
        lease_ms: int = 30_000,
        max_attempts: int = 10,
        backoff: Backoff = Backoff(),  # noqa: B008
        keep_order: bool = True,
        consumer: str | None = None,
        mailbox_id: str | None = None,
        mailbox_prefix: str | tuple[str, ...] | None = None,
        except_prefix: str | tuple[str, ...] = (),
        grace_ms: int = 10_000,
        purge_after_ms: int | None = None,
        purge_documents: bool | None = None,
        on_dead_letter: OnDeadLetter | None = None,
        on_event: OnEvent = log_events,
        clock: WorkerClock | None = None,
        random: Random | None = None,
    ) -> None:
        check_store(store)
        check_handler(handler)
        check_hook(on_event)
        check_dead_letter_hook(on_dead_letter)
        check_clock(clock)
        check_random(random)
        self._store = store
        self._handler = handler
        self._settings = Settings(
            concurrency=concurrency,
            coalesce=coalesce,
            lease_ms=lease_ms,
            max_attempts=max_attempts,
            backoff=backoff,
            keep_order=keep_order,
            consumer=new_consumer() if consumer is None else consumer,
            mailbox_id=mailbox_id,
            mailbox_prefix=mailbox_prefix,
            except_prefix=except_prefix,
            grace_ms=grace_ms,
            purge_after_ms=purge_after_ms,
            purge_documents=purge_documents,
        )
        self._emit = guarded(on_event)
        self._on_dead_letter = on_dead_letter
        self._clock = clock
        # not a seeded generator: workers that were forked would draw the same jitter
        self._random = SystemRandom() if random is None else random
        self._health = Health()
        self._run: _Run | None = None
        self._is_stopping = False

    @property
    def consumer(self) -> str:
        """The worker's name, as entries have it in `claimed_by`."""
        return self._settings.consumer

    @property
    def failing(self) -> Mapping[str, Exception]:
        """The operations that fail now, "claim" and "renew", with their errors; else it is empty.

        An operation is in it from its first failure until it succeeds, so a health check can say
        whether the worker reaches its store.
        """
        return self._health.failing

    async def run(
        self, *, until_idle: bool = False, while_due: bool = False, handle_signals: bool = False
    ) -> None:
        """Process entries until `stop` is called or the task is cancelled; both stop it cleanly.

        The worker claims nothing more. Running handlers continue for `grace_ms`, and their leases
        are renewed; then they are cancelled and their entries are released. A handler in a thread
        gets one more second to notice, then its entry is released although the thread still runs.
        If the store is not available, the last writes are tried until the lease ends.

        With `until_idle` it also returns once the store, or what the worker processes of it, has no
        entry that is queued or claimed: nothing is due, nothing is scheduled for later, no retry is
        pending, and no other worker holds an entry. It does not wait for paused mailboxes, whose
        pauses may last for days. With `while_due` it returns as soon as no handler runs and nothing
        can be claimed now, whatever is due later. With `handle_signals` the first SIGTERM or SIGINT
        stops the worker; this works on the main thread only.

        Raises:
            RuntimeError: the worker is running already.
            StoreClosed: the store is not open, or was closed under the worker.
            ValueError: with `handle_signals`, this is not the main thread.
        """
        if self._run is not None:
            raise RuntimeError("this worker is running already; create another one")
        clock = asyncio.get_running_loop() if self._clock is None else self._clock
        context = RunContext(
            store=self._store,
            settings=self._settings,
            emit=self._emit,
            clock=clock,
            store_clock=StoreClock(clock),
            random=self._random,
            health=self._health,
        )
        self._run = _Run(context, self._handler, self._on_dead_letter)
        try:
            if self._is_stopping:
                return
            loop = asyncio.get_running_loop()
            with containing(loop), stop_on_signals(self.stop) if handle_signals else nullcontext():
                work = self._run.run(until_idle=until_idle, while_due=while_due)
                await shielded(work, on_cancel=self._run.stop)
        finally:
            self._run = None
            self._is_stopping = False

    def stop(self) -> None:
        """Begin a clean stop; `run` returns when it is complete.

        May be called from any thread and from a signal handler, and more than once. Before `run`
        it makes `run` return at once.
        """
        self._is_stopping = True
        # read once: `run` may end in another thread
        running = self._run
        if running is not None:
            running.stop_soon()


class _Run:
    """One run of a worker: its parts, their tasks, and the order in which they end."""

    def __init__(
        self, context: RunContext, handler: Handler, on_dead_letter: OnDeadLetter | None
    ) -> None:
        settler = Settler(context)
        giving_up = None if on_dead_letter is None else GivingUp(context, on_dead_letter, settler)
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[Any] | None = None
        watcher = Watcher(context, settler, self._list_leases)
        executor = Executor(context, handler, settler, watcher, giving_up)
        self._slots = Slots(
            context, executor, watcher, on_free=self._claim_again, is_ending=self._is_cancelled
        )
        self._claimer = Claimer(context, self._slots, settler.release)
        self._background: list[Callable[[], Coroutine[Any, Any, None]]] = [
            Heartbeat(context, settler, self._list_leases).run,
            watcher.listen,
            watcher.look,
            self._slots.watch,
        ]
        if context.settings.purges:
            self._background.append(Purger(context).run)

    async def run(self, *, until_idle: bool, while_due: bool) -> None:
        """Process entries until stopped (or idle), then end all parts in order.

        Raises:
            StoreClosed: the store was closed under the worker.
        """
        self._task = asyncio.current_task()
        begin_own_calls()
        try:
            async with asyncio.TaskGroup() as group:
                background = [group.create_task(run()) for run in self._background]
                await self._claimer.run(until_idle=until_idle, while_due=while_due)
                # the heartbeat must outlive the handlers, whose leases it renews
                await self._slots.drain()
                for task in background:
                    task.cancel()
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        finally:
            await self._slots.cancel()

    def stop(self) -> None:
        """Begin to stop; may be called from the event loop only."""
        self._claimer.stop()

    def stop_soon(self) -> None:
        """Begin to stop; may be called from any thread and from a signal handler."""
        with suppress(RuntimeError):  # the loop is closed: there is nothing left to stop
            self._loop.call_soon_threadsafe(self._claimer.stop)

    def _list_leases(self) -> list[Lease]:
        return self._slots.list_leases()

    def _claim_again(self) -> None:
        self._claimer.wake()

    def _is_cancelled(self) -> bool:
        """Return True if somebody else ends all tasks of the event loop, as `asyncio.run` does."""
        return self._task is not None and self._task.cancelling() > 0
