"""Work that comes to its end although its caller is cancelled."""

import asyncio
from collections.abc import Callable, Coroutine
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")


async def shielded(
    work: Coroutine[Any, Any, T], *, on_cancel: Callable[[], None] = lambda: None
) -> T:
    """Run `work` to its end; a cancellation is passed on only then.

    `on_cancel` is called at each cancellation, to make the work end sooner.
    """
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
            on_cancel()
    if cancelled is None or task.cancelled():
        return task.result()
    raise cancelled from task.exception()


async def opened(work: Callable[[], T], undo: Callable[[], object]) -> T:
    """What `work` gives, on a thread; what it opens for a caller that was cancelled is undone.

    It is waited for, unless the event loop ends meanwhile: then the thread undoes it by itself.
    """
    deciding = Lock()
    is_done = is_given_up = False

    def work_or_undo() -> T:
        nonlocal is_done
        result = work()
        with deciding:
            is_done = True
            wanted = not is_given_up
        if not wanted:
            undo()
        return result

    def give_up() -> bool:
        nonlocal is_given_up
        with deciding:
            is_given_up = True
            return is_done

    try:
        return await shielded(asyncio.to_thread(work_or_undo))
    except asyncio.CancelledError as cancelled:
        if give_up():
            try:
                await shielded(asyncio.to_thread(undo))
            except Exception as error:
                raise cancelled from error
        raise
