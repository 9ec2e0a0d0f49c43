"""Work that is finished even if its caller is cancelled."""

import asyncio
from collections.abc import Callable, Coroutine
from threading import Event, Lock
from typing import Any, TypeVar

from treadle.backends._deadline import Patience

T = TypeVar("T")


async def shielded(
    work: Coroutine[Any, Any, T], *, on_cancel: Callable[[], None] = lambda: None
) -> T:
    """Run `work` to its end; a cancellation is raised only then.

    `on_cancel` is called at each cancellation; it may make the work end sooner.
    """
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await finished(task)
        except asyncio.CancelledError as error:
            cancelled = error
            on_cancel()
    if cancelled is None or task.cancelled():
        return task.result()
    raise cancelled from task.exception()


async def finished(task: "asyncio.Task[Any]") -> None:
    """Wait until a task is done, however it ends; a cancellation leaves it alone.

    As `asyncio.wait` for one task, in a third of the time.
    """
    over = asyncio.get_running_loop().create_future()

    def wake(_: object) -> None:
        if not over.done():
            over.set_result(None)

    task.add_done_callback(wake)
    try:
        await over
    finally:
        task.remove_done_callback(wake)


async def opened(work: Callable[[Patience], T], undo: Callable[[], object], seconds: float) -> T:
    """Run `work` on a thread and return its result; if the caller is cancelled, undo it.

    A cancelled caller waits until it is undone, so that nothing stays open behind its back. If the
    event loop ends before `work` does, nobody can wait, and the thread undoes it by itself.

    Args:
        work: called with the patience that it may have with others; a cancellation ends it.
        undo: called after `work` if its result is not wanted.
        seconds: how long `work` may wait for others.
    """
    is_cancelled = Event()
    patience = Patience.of(seconds, lambda: not is_cancelled.is_set())
    # The thread and the event loop must agree which of them undoes the work, and both must not.
    deciding = Lock()
    is_done = is_abandoned = False

    def work_or_undo() -> T:
        nonlocal is_done
        if is_abandoned:
            raise RuntimeError("nobody waits for it")
        result = work(patience)
        with deciding:
            is_done = True
            is_wanted = not is_abandoned
        if not is_wanted:
            undo()
        return result

    def abandon() -> bool:
        """Return True if the work is done, and is to be undone here."""
        nonlocal is_abandoned
        with deciding:
            is_abandoned = True
            return is_done

    try:
        return await shielded(asyncio.to_thread(work_or_undo), on_cancel=is_cancelled.set)
    except RuntimeError:
        # If it is that no thread starts, the pool has queued the work before, and may come to it.
        abandon()
        raise
    except asyncio.CancelledError as cancelled:
        if abandon():
            try:
                await shielded(asyncio.to_thread(undo))
            except Exception as error:
                raise cancelled from error
        raise
