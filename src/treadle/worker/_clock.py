"""The time that a worker waits by, and the time of its store."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any, Protocol

from treadle.clock import system_clock


class Alarm(Protocol):
    """A callback that `WorkerClock.call_later` has scheduled."""

    def cancel(self) -> None:
        """Forget the callback. Has no effect once it was called."""
        ...


class WorkerClock(Protocol):
    """The time that a worker waits by. An asyncio event loop is such a clock, and the default.

    A test hands in a `treadle.testing.ManualClock`.
    """

    def time(self) -> float:
        """Return the seconds since some fixed moment. They never decrease."""
        ...

    def call_later(self, delay: float, callback: Callable[[], object], /) -> Alarm:
        """Call `callback` on the event loop after `delay` seconds."""
        ...


class StoreClock:
    """The store's time, in unix milliseconds.

    A store has its own clock (PostgreSQL uses the server's), and a retry is due by that clock. Each
    claimed entry carries the time of its claim; between claims the worker's clock continues it.
    """

    def __init__(self, clock: WorkerClock) -> None:
        self._clock = clock
        self.observe(system_clock())

    def observe(self, now: int) -> None:
        """Note that the store's time is `now`."""
        self._offset_ms = now - self._elapsed_ms()

    def now(self) -> int:
        """Return the store's time, in unix milliseconds."""
        return max(self._elapsed_ms() + self._offset_ms, 0)

    def _elapsed_ms(self) -> int:
        return int(self._clock.time() * 1000)


async def sleep(clock: WorkerClock, seconds: float) -> None:
    """Return after `seconds`."""
    over = asyncio.Event()
    alarm = clock.call_later(seconds, over.set)
    try:
        await over.wait()
    finally:
        alarm.cancel()


@asynccontextmanager
async def timeout(clock: WorkerClock, seconds: float) -> AsyncGenerator[None]:
    """Cancel the block after `seconds`, as `asyncio.timeout` does.

    Raises:
        TimeoutError: the block took longer.
    """
    async with asyncio.timeout(None) as scope:
        # 0 is long past on every event loop, so the block is cancelled in the loop's next turn
        alarm = clock.call_later(seconds, lambda: scope.reschedule(0))
        try:
            yield
        finally:
            alarm.cancel()


async def wait(
    clock: WorkerClock, tasks: Collection["asyncio.Future[Any]"], seconds: float
) -> None:
    """Return when all tasks are done, and after `seconds` at the latest."""
    pending = {task for task in tasks if not task.done()}
    over = asyncio.get_running_loop().create_future()

    def wake() -> None:
        if not over.done():
            over.set_result(None)

    def end(task: "asyncio.Future[Any]") -> None:
        pending.discard(task)
        if not pending:
            wake()

    if not pending:
        return
    for task in tuple(pending):
        task.add_done_callback(end)
    alarm = clock.call_later(seconds, wake)
    try:
        await over
    finally:
        alarm.cancel()
        for task in tuple(pending):
            task.remove_done_callback(end)
