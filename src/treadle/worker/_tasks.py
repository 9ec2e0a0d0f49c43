"""Tasks that handlers start: an exit of one is its failure, and does not end the event loop."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias, TypeVar

from treadle.worker._failures import failure_of, is_of_process

T = TypeVar("T")

_TaskFactory: TypeAlias = Callable[..., Any]

_of_handler: ContextVar[bool] = ContextVar("treadle_of_handler", default=False)
"""True in the context of a handler, which the tasks that it starts inherit."""


class Contained(Coroutine[Any, Any, T]):
    """A coroutine that raises a failure in place of an exit.

    An event loop ends when a task raises `SystemExit` or `KeyboardInterrupt`: a tool that is
    written as a program would end the process, and whatever else it works on.

    It is not an `async def` around `work`: a task that is cancelled before it begins would leave
    `work` behind, never awaited.
    """

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._work = work

    def __getattr__(self, name: str) -> Any:
        return getattr(self._work, name)

    def __await__(self) -> Generator[Any, Any, T]:
        return self._work.__await__()

    def send(self, value: Any, /) -> Any:
        """Go on with the coroutine."""
        try:
            return self._work.send(value)
        except (SystemExit, KeyboardInterrupt) as error:
            raise in_place_of(error) from error

    def throw(self, *error: Any) -> Any:
        """Go on with the coroutine by raising an error in it."""
        try:
            return self._work.throw(*error)
        except (SystemExit, KeyboardInterrupt) as exit_:
            raise in_place_of(exit_) from exit_

    def close(self) -> None:
        """End the coroutine."""
        self._work.close()


def in_place_of(error: SystemExit | KeyboardInterrupt) -> Exception:
    """Return the failure to be raised in place of an exit.

    Raises:
        KeyboardInterrupt: it is the process's own.
    """
    if is_of_process(error):
        raise error
    return failure_of(error)


def enter_handler() -> None:
    """Begin the context of a handler."""
    _of_handler.set(True)


class _Containing:
    """Makes the tasks of an event loop, as `outer` does; those that handlers start are contained.

    The workers of a loop share one, as they need not end in the order in which they began.
    """

    def __init__(self, outer: _TaskFactory | None) -> None:
        self.outer = outer
        self.workers = 0

    def __call__(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> Any:
        chosen = Contained(work) if _of_handler.get() else work
        if self.outer is None:
            return asyncio.Task(chosen, loop=loop, **options)
        return self.outer(loop, chosen, **options)


@contextmanager
def containing(loop: asyncio.AbstractEventLoop) -> Generator[None]:
    """Contain, within the block, the tasks that handlers start with `asyncio.gather` and the like.

    The tasks of everybody else are made as before.
    """
    found = loop.get_task_factory()
    make = found if isinstance(found, _Containing) else _Containing(found)
    make.workers += 1
    loop.set_task_factory(make)
    try:
        yield
    finally:
        make.workers -= 1
        if not make.workers and loop.get_task_factory() is make:
            loop.set_task_factory(make.outer)
