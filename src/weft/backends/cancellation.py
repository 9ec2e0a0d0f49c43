"""Work that comes to its end although its caller is cancelled."""

import asyncio
from collections.abc import Callable, Coroutine
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


async def finished(work: Coroutine[Any, Any, T], undo: Callable[[], object]) -> T:
    """As `shielded`; what succeeds for a caller that was cancelled is undone, on a thread."""
    succeeded = False

    async def note() -> T:
        nonlocal succeeded
        result = await work
        succeeded = True
        return result

    try:
        return await shielded(note())
    except asyncio.CancelledError:
        if succeeded:
            await shielded(asyncio.to_thread(undo))
        raise
