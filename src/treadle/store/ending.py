"""Ending what follows a store, while the store goes on: servers wait for streams to end."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from treadle.errors import StoreClosed

T = TypeVar("T")


class Followers:
    """Those who wait for the next thing to follow; may be used on any thread."""

    def __init__(self) -> None:
        self._waits: dict[asyncio.Timeout, asyncio.AbstractEventLoop] = {}
        self._have_ended = False

    def begin(self) -> None:
        """Let there be followers: the store is opened."""
        self._have_ended = False

    def end(self) -> None:
        """End those who wait, and those who will."""
        self._have_ended = True  # first: who begins to wait looks at it after it is in `_waits`
        for wait, loop in self._waits.copy().items():
            with suppress(RuntimeError):  # the loop is closed: nobody waits there
                loop.call_soon_threadsafe(self._expire, wait)

    async def wait_for(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what a call returns; it is cancelled if the followers end.

        Raises:
            StoreClosed: the followers are ended, or were in the meantime.
        """
        if self._have_ended:
            raise StoreClosed
        wait = asyncio.timeout(None)
        try:
            async with wait:
                self._enter(wait)
                return await call()
        except TimeoutError:
            if wait.expired():
                raise StoreClosed from None
            raise
        finally:
            self._waits.pop(wait, None)

    def _enter(self, wait: asyncio.Timeout) -> None:
        self._waits[wait] = asyncio.get_running_loop()
        if self._have_ended:  # since the caller has looked
            self._expire(wait)

    def _expire(self, wait: asyncio.Timeout) -> None:
        if wait in self._waits and not wait.expired():
            wait.reschedule(0)
