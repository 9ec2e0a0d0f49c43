"""Work that must come to its end although its caller is cancelled."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def shielded(
    work: Coroutine[Any, Any, T], *, on_cancel: Callable[[], None] | None = None
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
            if on_cancel is not None:
                on_cancel()
    if cancelled is None or task.cancelled():
        return task.result()
    raise cancelled from task.exception()
