"""Several things at a time, their results in order."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def each(
    function: Callable[[T], Awaitable[R]],
    items: Iterable[T],
    limit: int,
    is_ready: Callable[[], bool] = lambda: True,
) -> AsyncGenerator[R]:
    """`function` of each of `items`, at most `limit` at a time, the results in their order.

    An item is taken when there is room for it; while taking one would block (`is_ready` says no),
    what is under way is finished first. The first error ends it.
    Use it in `contextlib.aclosing`, so that nothing goes on when its reader stops.
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
    return await function(item)
