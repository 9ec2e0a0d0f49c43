"""Merging several sources of items into one, with a keep-alive while nothing comes."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import TypeVar

T = TypeVar("T")

_BEATS = 60
"""Keep-alives are due at whole multiples of this fraction of the time without an item."""


async def merged(
    sources: Sequence[AsyncGenerator[T]], quiet_seconds: float | None = None
) -> AsyncGenerator[T | None]:
    """Yield what the sources yield, each in its order, until one of them ends.

    Of items that are there at the same time, that of an earlier source comes first.

    Args:
        sources: the sources, which are closed at the end.
        quiet_seconds: after so many seconds without an item, or up to a sixtieth of them earlier,
            None comes as a keep-alive; if this is None, it never does.
    """
    async with AsyncExitStack() as stack:
        for source in sources:
            await stack.enter_async_context(aclosing(source))
        asked = [asyncio.create_task(_next(source)) for source in sources]
        stack.push_async_callback(_cancel, asked)
        while True:
            timeout = None if quiet_seconds is None else _until_beat(quiet_seconds)
            done, _ = await asyncio.wait(
                asked, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
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


def _until_beat(quiet_seconds: float) -> float:
    """Return the seconds until the next keep-alive.

    Thousands of waiting streams would wake the event loop one after the other. So all that are due
    in one fraction of the time are woken together.
    """
    now = asyncio.get_running_loop().time()
    return quiet_seconds - (now + quiet_seconds) % (quiet_seconds / _BEATS)


async def _next(source: AsyncGenerator[T]) -> tuple[T, ...]:
    """Return the next item, or nothing at the end."""
    async for item in source:
        return (item,)
    return ()


async def _cancel(tasks: list["asyncio.Task[tuple[T, ...]]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
