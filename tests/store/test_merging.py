"""Several sources as one: what is there at the same time comes in the order of the sources."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from treadle.store.merging import merged

LONG = 60.0


async def items_of(queue: "asyncio.Queue[str]") -> AsyncGenerator[str]:
    while True:
        yield await queue.get()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_an_earlier_source_comes_first_whichever_was_asked_last() -> None:
    first: asyncio.Queue[str] = asyncio.Queue()
    second: asyncio.Queue[str] = asyncio.Queue()
    async with aclosing(merged([items_of(first), items_of(second)], LONG)) as items:
        for queue in (first, second, first):
            queue.put_nowait("alone")
            assert await anext(items) == "alone"
            following = asyncio.ensure_future(anext(items))
            await settle()  # so that both sources are asked
            second.put_nowait("second")
            first.put_nowait("first")
            assert [await following, await anext(items)] == ["first", "second"]
