"""Opening and closing a blocking store, and the thread that owns it meanwhile."""

import os
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self, TypeVar

import treadle
from treadle.backends.base import Capabilities
from treadle.blocking._batch import Batch
from treadle.blocking._portal import Portal
from treadle.errors import StoreUnavailable

T = TypeVar("T")


class Opening:
    """What a blocking store has besides: it is opened and closed, and collects batches."""

    def __init__(self, store: treadle.Store) -> None:
        self._store = store
        self._portal = Portal()
        # Its thread may take it again: a signal may come while it closes the store, and the handler
        # of that close it, too.
        self._changing = threading.RLock()
        """Held while the store is opened or closed."""
        self._process = os.getpid()

    def __repr__(self) -> str:
        return f"<blocking {repr(self._store)[1:]}"

    @property
    def where(self) -> str:
        """The location of the store, such as a path, or a URL without its password."""
        return self._store.where

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of the store's backend."""
        return self._store.capabilities

    def open(self) -> Self:
        """Open the store; `with` does it for you.

        Raises:
            TreadleError: as for `treadle.Store.open`.
            RuntimeError: it is open already.
        """
        with self._change():
            if self._portal.is_running:
                raise RuntimeError("this store is open already; close it before you open it again")
            try:
                self._start()
                self._portal.call(self._store.open())
            except BaseException:
                self._end()  # an interrupt may come when the store is open already
                raise
        return self

    def close(self) -> None:
        """Finish the calls in progress, of all threads, and close; closing twice does no harm.

        A store that is still open when the interpreter exits has lost nothing: what a call has
        written is committed when the call returns.
        """
        with self._change():
            self._end()

    def _start(self) -> None:
        try:
            self._portal.start()
        except OSError as error:
            reason = f"its event loop cannot begin: {error}"
            raise StoreUnavailable(self.where, reason) from error

    def _end(self) -> None:
        if not self._portal.is_running:
            return
        try:
            self._portal.call(self._store.close())
        finally:
            self._portal.stop()

    def _change(self) -> AbstractContextManager[bool]:
        """Return the lock; a fork may have copied one that another thread held."""
        if self._process != os.getpid():
            self._process, self._changing = os.getpid(), threading.RLock()
        return self._changing

    def __del__(self) -> None:
        self._portal.stop()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def batch(self, *, connection: object = None) -> Batch:
        """Collect writes that commit together: `with store.batch() as step:`.

        With `connection`, they join its transaction, as for `commit`.
        """
        return Batch(self._store.batch(connection=connection), self._portal)

    def run(self, work: Callable[[treadle.Store], Coroutine[Any, Any, T]]) -> T:
        """Run asynchronous code on the store: `store.run(work)` returns what `work` returns.

        Args:
            work: an `async` function of the `treadle.Store` that is behind this one. It runs in the
                thread of the store, together with the calls of other threads, so it must not block.
        """
        return self._portal.call(work(self._store))
