"""A timeout that costs nothing where there is nothing to wait for, such as a body that is there."""

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of work, which is cancelled after so many seconds.

    It runs as far as it gets before there is a timer, which takes longer than to read a small body.

    Raises:
        TimeoutError: the time was not enough.
    """
    try:
        waits_for = work.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    async with asyncio.timeout(seconds):
        return await _Begun(work, waits_for)


class _Begun(Generic[T]):
    """What is left of work that was begun by hand, and waits for something."""

    def __init__(self, work: Coroutine[Any, Any, T], waits_for: Any) -> None:
        self._work = work
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, T]:
        waits_for = self._waits_for
        while True:
            try:
                try:
                    given = yield waits_for
                except BaseException as error:
                    waits_for = self._work.throw(error)
                else:
                    waits_for = self._work.send(given)
            except StopIteration as end:
                return cast("T", end.value)
