"""Several sources of items as one, with a sign of life while nothing comes."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import TypeVar

T = TypeVar("T")


async def merged(
    sources: Sequence[AsyncGenerator[T]], quiet_seconds: float | None = None
) -> AsyncGenerator[T | None]:
    """Yield what the sources yield, each in its order, until one of them ends.

    Of items that are there at the same time, that of an earlier source comes first.

    Args:
        sources: the sources, which are closed at the end.
        quiet_seconds: after so long without an item, None comes; None: it never does.
    """
    async with AsyncExitStack() as stack:
        for source in sources:
            await stack.enter_async_context(aclosing(source))
        asked = [asyncio.create_task(_next(source)) for source in sources]
        stack.push_async_callback(_cancel, asked)
        while True:
            done, _ = await asyncio.wait(
                asked, timeout=quiet_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                yield None
            for number, source in enumerate(sources):
                if asked[number] not in done:
                    continue
                items = asked[number].result()
                if not items:
                    return
                asked[number] = asyncio.create_task(_next(source))
                yield items[0]


async def _next(source: AsyncGenerator[T]) -> tuple[T, ...]:
    """Return the next item, or nothing at the end."""
    async for item in source:
        return (item,)
    return ()


async def _cancel(tasks: list["asyncio.Task[tuple[T, ...]]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
