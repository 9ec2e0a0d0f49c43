"""Runs what needs the store on the event loop that it belongs to, for callers of both kinds."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import treadle

T = TypeVar("T")


class Calls:
    """Calls of a store of asyncio, from coroutines and from threads."""

    def __init__(self, store: treadle.Store) -> None:
        self.store = store
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None

    async def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Return the result, to a coroutine."""
        self._loop = asyncio.get_running_loop()
        return await call

    def wait(self, call: Coroutine[Any, Any, T]) -> T:
        """Return the result, to a thread without an event loop.

        Raises:
            RuntimeError: the thread has one, or the store's loop is not known or not running.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            loop = self._loop
        else:
            call.close()
            raise asyncio.InvalidStateError(
                "this would stop the event loop; use the async method, such as `ainvoke` or `aget`"
            )
        if loop is None or not loop.is_running():
            call.close()
            raise RuntimeError(
                "no event loop runs for this store; open it with `treadle.blocking.open_store`"
            )
        return asyncio.run_coroutine_threadsafe(call, loop).result()
