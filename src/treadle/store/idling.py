"""Saying that nothing comes, so that who waits can see whether somebody still reads."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import TypeVar

from treadle.core.codec import check_integer
from treadle.errors import InvalidValue

T = TypeVar("T")


def check_idle(where: str, idle_ms: int | None) -> None:
    """Check after how long without an item None comes.

    Raises:
        InvalidValue: it is not a positive integer, and not None; `where` names it.
    """
    if idle_ms is not None and check_integer(where, idle_ms) < 1:
        raise InvalidValue(where, f"it must be at least 1 ms, not {idle_ms}")


def with_idle(items: AsyncGenerator[T], idle_ms: int | None) -> AsyncGenerator[T | None]:
    """Return the items, with a None each time none has come for `idle_ms`; None: without."""
    return items if idle_ms is None else _with_idle(items, idle_ms / 1000)


async def _with_idle(items: AsyncGenerator[T], seconds: float) -> AsyncGenerator[T | None]:
    async with aclosing(items):
        while True:
            coming = asyncio.ensure_future(anext(items))
            try:
                # `wait` cancels nothing: an `anext` that is cancelled would end the items.
                while not (await asyncio.wait({coming}, timeout=seconds))[0]:
                    yield None
                item = coming.result()
            except StopAsyncIteration:
                return
            finally:
                if coming.cancel():
                    with suppress(asyncio.CancelledError):
                        await coming
            yield item
