"""Runs work on the event loop of the store, for coroutines and for threads."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

import treadle
import treadle.blocking

T = TypeVar("T")

AnyStore: TypeAlias = treadle.Store | treadle.blocking.Store
"""A store of either kind: for asyncio, or for code without await."""
Work: TypeAlias = Callable[[treadle.Store], Coroutine[Any, Any, T]]
"""Work that needs a store."""


class Calls:
    """Calls of a store of either kind, by coroutines and by threads."""

    def __init__(self, store: AnyStore) -> None:
        self._store = store
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None  # it is known from the first call of a coroutine

    async def run(self, work: Work[T]) -> T:
        """Run work for a coroutine."""
        if isinstance(self._store, treadle.blocking.Store):
            return await asyncio.to_thread(self._store.run, work)
        self._loop = asyncio.get_running_loop()
        return await work(self._store)

    def wait(self, work: Work[T]) -> T:
        """Run work for a thread, which waits for it.

        Raises:
            RuntimeError: the store is one for asyncio, and the thread has a running event loop, or
                there is no loop for the store.
        """
        if isinstance(self._store, treadle.blocking.Store):
            return self._store.run(work)
        if _has_loop():
            advice = "use the async method, such as `ainvoke`, or `treadle.blocking.open_store`"
            raise asyncio.InvalidStateError(f"this would stop the event loop; {advice}")
        if self._loop is None or not self._loop.is_running():
            advice = "open it with `treadle.blocking.open_store`"
            raise RuntimeError(f"no event loop is running for the store; {advice}")
        return asyncio.run_coroutine_threadsafe(work(self._store), self._loop).result()


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
