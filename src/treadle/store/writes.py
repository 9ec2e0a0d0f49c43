"""Writes: what the store's and a batch's writing calls return."""

import warnings
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from treadle.core.commands import Command, Commands, describe

T = TypeVar("T")


class _Call(Coroutine[Any, Any, T], Generic[T]):
    """A coroutine that is made when it is awaited, or when a task runs it."""

    _coroutine: Coroutine[Any, Any, T] | None = None

    @abstractmethod
    def _start(self) -> Coroutine[Any, Any, T]:
        """Return the coroutine, made at the first call."""

    def __await__(self) -> Generator[Any, Any, T]:
        """Run it to its end."""
        return self._start().__await__()

    def send(self, value: Any) -> Any:
        """Run as a coroutine."""
        return self._start().send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an error inside, as a coroutine does."""
        return self._start().throw(*error)

    def close(self) -> None:
        """End as a coroutine."""
        if self._coroutine is not None:
            self._coroutine.close()


class Write(_Call[T]):
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

    @property
    def result(self) -> T:
        """The result of a write of a batch, once the batch is committed.

        Raises:
            RuntimeError: the batch is not committed, or the write belongs to no batch.
        """
        if self._find_result is None:
            raise RuntimeError("this write is not part of a batch; await it instead")
        return self._find_result()

    def close(self) -> None:
        """End as a coroutine; a write that has not begun is dropped without a warning."""
        if self._coroutine is None:
            self._commit = None
        super().close()

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
                    f"leave out `await`: {describe(self.command)} is a write of a batch, and "
                    "commits when the block of the batch ends; read its `result` after that"
                )
            self._coroutine = self._commit(self.command)
        return self._coroutine


Plan: TypeAlias = Callable[[], Coroutine[Any, Any, tuple[T, Commands]]]
"""Looks at the store, and returns a result with the commands for it."""


class Planned(_Call[T]):
    """A part of a batch that must look at the store to know what it writes.

    Like the writes of a batch, it need not be awaited: it looks when the block of the batch ends,
    and its `result` is available after that. Awaited in the block, it looks at once, and returns
    its result, although nothing is written before the block ends.
    """

    def __init__(self, plan: Plan[T]) -> None:
        self.__name__ = "request"  # for the reports of a task that runs it
        self.commands: Commands = ()
        """What it writes, once it has looked."""
        self._plan = plan
        self._result: tuple[T] | None = None
        self._is_over = False
        """Whether the block of the batch has ended."""

    @property
    def result(self) -> T:
        """The result, once the block of the batch has ended, or it was awaited.

        Raises:
            RuntimeError: it has not looked at the store yet.
        """
        if self._result is None:
            raise RuntimeError("the batch is not committed; ask when its block has ended")
        return self._result[0]

    async def look(self) -> None:
        """Look when the batch commits; not again if it was awaited."""
        self._is_over = True
        if self._coroutine is None:
            await self._look()

    def _start(self) -> Coroutine[Any, Any, T]:
        if self._coroutine is None:
            if self._is_over:
                raise RuntimeError("the block of its batch has ended; read its `result` instead")
            self._coroutine = self._look()
        return self._coroutine

    async def _look(self) -> T:
        result, self.commands = await self._plan()
        self._result = (result,)
        return result


class NewWrite(Protocol):
    """Makes the write of a command: one to await, or one of a batch."""

    def __call__(self, command: Command[T]) -> Write[T]:
        """Make the write."""
        ...


class NewPlanned(Protocol):
    """Adds a part to a batch that must look at the store first."""

    def __call__(self, plan: Plan[T]) -> Planned[T]:
        """Add what `plan` returns."""
        ...
