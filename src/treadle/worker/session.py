"""One run of a worker: its parts, the tasks they are, and the order in which they end."""

import asyncio
import logging
from contextlib import suppress

from treadle.store.store import Store
from treadle.worker.claimer import Claimer
from treadle.worker.events import OnEvent
from treadle.worker.executor import Executor, Handler
from treadle.worker.heartbeat import Heartbeat
from treadle.worker.lease import Lease
from treadle.worker.purger import Purger
from treadle.worker.settings import Settings
from treadle.worker.settler import Settler
from treadle.worker.store_clock import StoreClock

_LOGGER = logging.getLogger("treadle.worker")


class Session:
    """From the first claim to the last release."""

    def __init__(self, store: Store, handler: Handler, settings: Settings, emit: OnEvent) -> None:
        clock = StoreClock()
        settler = Settler(store, emit)
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._group = asyncio.TaskGroup()
        self._leases: dict[asyncio.Task[None], Lease] = {}
        self._executor = Executor(store, handler, settings, settler, clock, emit)
        self._claimer = Claimer(
            store,
            settings,
            clock,
            count_free=self._count_free,
            start=self._start,
            give_back=settler.release,
            emit=emit,
        )
        self._beside = [
            Heartbeat(
                store, settings, settler, list_leases=lambda: [*self._leases.values()], emit=emit
            ).run
        ]
        if settings.purge_after_ms is not None:
            self._beside.append(Purger(store, settings.purge_after_ms, clock, emit).run)

    async def run(self, *, until_idle: bool) -> None:
        """Claim and work until stopped (or idle), then let go of everything in good order.

        Raises:
            StoreClosed: the store was closed under the worker.
        """
        try:
            async with self._group as group:
                beside = [group.create_task(run()) for run in self._beside]
                await self._claimer.run(until_idle=until_idle)
                await self._drain()
                for task in beside:
                    task.cancel()
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from failed

    def stop(self) -> None:
        """Begin to stop; may be called from the event loop only."""
        self._claimer.stop()

    def stop_soon(self) -> None:
        """Begin to stop; may be called from any thread and from a signal handler."""
        with suppress(RuntimeError):  # the loop is closed: there is nothing left to stop
            self._loop.call_soon_threadsafe(self._claimer.stop)

    def _count_free(self) -> int:
        return self._settings.concurrency - len(self._leases)

    def _start(self, lease: Lease) -> None:
        task = self._group.create_task(
            self._executor.execute(lease), name=f"treadle-{lease.entry_id}"
        )
        lease.task = task
        self._leases[task] = lease
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        del self._leases[task]
        self._claimer.wake()

    async def _drain(self) -> None:
        """Let running handlers finish within the grace time, then cancel them and wait."""
        if self._leases:
            await asyncio.wait(self._leases, timeout=self._settings.grace_ms / 1000)
        if not self._leases:
            return
        _LOGGER.info("cancelling %d handlers, the grace time is over", len(self._leases))
        for lease in self._leases.values():
            lease.cancel()
        await asyncio.wait(self._leases)
