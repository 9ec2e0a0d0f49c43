"""Several calls at a time, with their results in order."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def map_in_order(
    function: Callable[[T], Awaitable[R]],
    items: Iterable[T],
    limit: int,
    is_ready: Callable[[], bool] = lambda: True,
) -> AsyncGenerator[R]:
    """Call `function` with each item, and yield the results in the order of the items.

    The first error ends the iteration. Use it in `contextlib.aclosing`, so that no call goes on
    when its reader stops.

    Args:
        function: called with one item.
        items: taken one by one, when there is room for another call.
        limit: how many calls run at a time.
        is_ready: returns False while taking the next item would block. Then the calls that run are
            finished first.
    """
    pending: deque[asyncio.Task[R]] = deque()
    source = iter(items)
    try:
        while True:
            while pending and (len(pending) >= limit or not is_ready()):
                yield await pending.popleft()
            try:
                item = next(source)
            except StopIteration:
                break
            pending.append(asyncio.create_task(_call(function, item)))
        while pending:
            yield await pending.popleft()
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


async def _call(function: Callable[[T], Awaitable[R]], item: T) -> R:
    return await function(item)  # a coroutine, which `create_task` needs; an awaitable may be less
