"""Several things at a time, their results in order."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def each(
    function: Callable[[T], Awaitable[R]], items: Iterable[T], limit: int
) -> AsyncGenerator[R]:
    """`function` of each of `items`, at most `limit` at a time, the results in their order.

    An item is taken when there is room for it. The first error ends it.
    Use it in `contextlib.aclosing`, so that nothing goes on when its reader stops.
    """
    pending: deque[asyncio.Task[R]] = deque()
    try:
        for item in items:
            pending.append(asyncio.create_task(_call(function, item)))
            if len(pending) >= limit:
                yield await pending.popleft()
        while pending:
            yield await pending.popleft()
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


async def _call(function: Callable[[T], Awaitable[R]], item: T) -> R:
    return await function(item)
