"""Listening and following in the background, for checks."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

T = TypeVar("T")

SOON_SECONDS = 5.0
"""How late something may come, on a machine that has much else to do."""


class Listener(Generic[T]):
    """What has come so far."""

    def __init__(self, items: AsyncGenerator[T]) -> None:
        self._items = items
        self.items: list[T] = []
        self._news = asyncio.Event()
        self.task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for item in self._items:
            self.items.append(item)
            self._news.set()

    async def until(self, is_enough: Callable[[Sequence[T]], bool]) -> None:
        """Return once enough has come; fail if that is not soon."""
        end = asyncio.get_running_loop().time() + SOON_SECONDS
        while not is_enough(self.items):
            self._news.clear()
            news = asyncio.ensure_future(self._news.wait())
            left = end - asyncio.get_running_loop().time()
            await asyncio.wait([news, self.task], timeout=left, return_when="FIRST_COMPLETED")
            news.cancel()
            if self.task.done():
                self.task.result()  # its error
            ended = self.task.done() and not is_enough(self.items)
            late = asyncio.get_running_loop().time() >= end
            assert not ended, f"it ended after {self.items}"
            assert not late, f"{SOON_SECONDS} s later only this had come: {self.items}"

    async def until_quiet(self, seconds: float = 0.15) -> list[T]:
        """Forget and return all that has come, after a time in which nothing has."""
        count = -1
        while count != len(self.items):
            count = len(self.items)
            await asyncio.sleep(seconds)
        items, self.items = self.items, []
        return items

    async def until_end(self) -> None:
        """Return once it has ended by itself; fail if that is not soon."""
        done, _ = await asyncio.wait([self.task], timeout=SOON_SECONDS)
        assert done, f"it went on {SOON_SECONDS} s later, after {self.items}"
        self.task.result()


@asynccontextmanager
async def listening(items: AsyncGenerator[T]) -> AsyncGenerator[Listener[T]]:
    """Listen during the block."""
    listener = Listener(items)
    try:
        yield listener
    finally:
        listener.task.cancel()
        await asyncio.gather(listener.task, return_exceptions=True)
