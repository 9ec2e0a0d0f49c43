"""Writes: what the store's and a batch's writing calls return."""

import warnings
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, Protocol, TypeVar

from treadle.core.commands import Command, describe

T = TypeVar("T")


class Write(Coroutine[Any, Any, T], Generic[T]):
    """A write that is not committed yet.

    A write of the store is awaited, and commits by itself then: `await store.threads.append(...)`.
    Like a coroutine, it can be given to `asyncio.create_task`, can be awaited once, and warns if it
    never is.

    A write of a batch commits with the batch. It is not awaited; its `result` is available after
    the `async with` block.
    """

    def __init__(
        self,
        command: Command[T],
        *,
        commit: Callable[[Command[T]], Coroutine[Any, Any, T]] | None = None,
        find_result: Callable[[], T] | None = None,
    ) -> None:
        self.command = command
        """The command that the backend will get."""
        self.__name__ = type(command).__name__  # for the reports of a task that runs it
        self._commit = commit
        self._find_result = find_result
        self._coroutine: Coroutine[Any, Any, T] | None = None

    @property
    def result(self) -> T:
        """The result of a write of a batch, once the batch is committed.

        Raises:
            RuntimeError: the batch is not committed, or the write belongs to no batch.
        """
        if self._find_result is None:
            raise RuntimeError("this write is not part of a batch; await it instead")
        return self._find_result()

    def __await__(self) -> Generator[Any, Any, T]:
        """Commit the write by itself."""
        return self._start().__await__()

    def send(self, value: Any) -> Any:
        """Run as a coroutine."""
        return self._start().send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an error inside, as a coroutine does."""
        return self._start().throw(*error)

    def close(self) -> None:
        """End as a coroutine; a write that has not begun is dropped without a warning."""
        if self._coroutine is None:
            self._commit = None
        else:
            self._coroutine.close()

    def __del__(self) -> None:
        if getattr(self, "_commit", None) is None or self._coroutine is not None:
            return
        try:
            write = describe(self.command)
        except ImportError:  # the interpreter ends, and its modules are gone
            write = type(self.command).__name__
        message = f"the write {write} was never awaited: nothing was written"
        warnings.warn(message, RuntimeWarning, source=self, stacklevel=2)

    def _start(self) -> Coroutine[Any, Any, T]:
        if self._coroutine is None:
            if self._commit is None and self._find_result is None:
                raise RuntimeError("this write was closed: nothing was written")
            if self._commit is None:
                raise RuntimeError(
                    "this write commits with its batch: when the block of the batch has ended, "
                    "read its `result`"
                )
            self._coroutine = self._commit(self.command)
        return self._coroutine


class NewWrite(Protocol):
    """Makes the write of a command: one to await, or one of a batch."""

    def __call__(self, command: Command[T]) -> Write[T]:
        """Make the write."""
        ...
