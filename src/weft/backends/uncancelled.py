"""Work on threads that is not left half done when the caller is cancelled."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def finished(work: Coroutine[Any, Any, T], undo: Callable[[], object] = lambda: None) -> T:
    """What comes of some work, which is waited for in any case.

    If the caller is cancelled and the work succeeds all the same, it is undone, on a thread.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled() and task.exception() is None:
            await asyncio.to_thread(undo)
        raise
