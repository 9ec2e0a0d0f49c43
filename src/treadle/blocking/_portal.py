"""An event loop in a thread of its own, for callers on any other thread."""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator
from concurrent.futures import Future, wait
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from typing import Any, Generic, NamedTuple, TypeVar, cast

from treadle.errors import StoreClosed

T = TypeVar("T")

_END = object()


class _Loop(NamedTuple):
    """A running event loop."""

    loop: asyncio.AbstractEventLoop
    thread: threading.Thread
    process: int
    ending: asyncio.Event


class Portal:
    """Runs coroutines for callers that wait for them.

    A caller may have an event loop of its own, as in a notebook: it is blocked meanwhile.
    """

    def __init__(self) -> None:
        # Held while work is handed over, so that the loop does not end meanwhile. It is one that a
        # finalizer may take in a thread that holds it.
        self._lock = threading.RLock()
        self._current: _Loop | None = None

    @property
    def is_running(self) -> bool:
        """Whether this process has started it, and not stopped it."""
        return self._current is not None and self._current.process == os.getpid()

    def start(self) -> None:
        """Start the loop; it must not be running.

        Raises:
            OSError: the system gives no loop, for example because too many files are open.
        """
        self._lock = threading.RLock()  # a fork may have copied one that another thread held
        started: Future[_Loop] = Future()
        # A daemon, because an open store must not keep the interpreter from exiting.
        thread = threading.Thread(
            target=_run, args=(started,), name="treadle-blocking", daemon=True
        )
        try:
            thread.start()
            self._current = started.result()
        except BaseException:
            started.add_done_callback(_end)  # an interrupt may come before the loop has begun
            raise

    def stop(self) -> None:
        """Finish what was handed over, and end the loop; it does not wait for that.

        It is safe in a finalizer. In a forked child it does nothing: the thread is the parent's.
        """
        if self.is_running:
            with self._lock:
                current, self._current = self._current, None
                if current is not None:
                    current.loop.call_soon_threadsafe(current.ending.set)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop, with the caller's context variables, and return its result.

        If the caller is interrupted, as by Ctrl-C, the coroutine is cancelled, and the interrupt is
        raised when it has ended.

        Raises:
            StoreClosed: the loop is not running, or runs in the process that forked this one.
            RuntimeError: the caller is on the loop, and would wait for itself.
        """
        current = self._current
        if current is not None and current.thread is threading.current_thread():
            work.close()
            raise RuntimeError("a blocking store was called from inside one of its own calls")
        call = _Call(work)
        try:
            self._begin(call)
            return call.outcome.result()
        except BaseException:
            # From here on, only the loop may touch what it was given: it may have begun.
            if call.loop is not None and not call.outcome.done():
                call.loop.call_soon_threadsafe(call.cancel)
                wait((call.outcome,))
            raise

    def iterate(self, items: AsyncGenerator[T]) -> Generator[T, None, None]:
        """Yield what an asynchronous generator yields; it ends, too, when the portal is stopped."""
        return self._iterate(items, was_running=self.is_running)

    def _iterate(self, items: AsyncGenerator[T], *, was_running: bool) -> Generator[T, None, None]:
        try:
            while (item := self.call(_next(items))) is not _END:
                yield cast("T", item)
        except StoreClosed:
            if not was_running or self._current is not None:
                raise
        finally:
            # Without waiting: the garbage collector may end this generator on the loop itself.
            with suppress(StoreClosed):
                self._begin(_Call(_close(items)))

    @contextmanager
    def entered(self, block: AbstractAsyncContextManager[T]) -> Generator[T, None, None]:
        """Enter an `async with` block, and leave it, with whatever error, with the `with` block."""
        value = self.call(_enter(block))
        try:
            yield value
        finally:
            with suppress(StoreClosed):  # the block has ended with the store
                self.call(_leave(block))

    def _begin(self, call: "_Call[Any]") -> None:
        try:
            self._require_process()
            with self._lock:
                if self._current is None:
                    raise StoreClosed("open it with `with treadle.blocking.open_store(...)`")
                call.loop = self._current.loop
                call.loop.call_soon_threadsafe(call.begin)
        except BaseException:
            if call.loop is None:
                call.drop()
            raise

    def _require_process(self) -> None:
        if self._current is not None and self._current.process != os.getpid():
            raise StoreClosed("this process was forked from the one that opened it; open one here")


class _Call(Generic[T]):
    """A coroutine, and its outcome, for which a thread may wait."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self.outcome: Future[T] = Future()
        self.loop: asyncio.AbstractEventLoop | None = None
        """The loop that it is, or may be, handed over to."""
        self._work = work
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin, on the loop."""
        self._task = asyncio.create_task(self._run())

    def cancel(self) -> None:
        """Cancel, on the loop; what has not begun will not begin."""
        if self._task is None:
            self.drop()
            self.outcome.set_exception(asyncio.CancelledError())
        else:
            # After its first step: a task that is cancelled before has no outcome.
            asyncio.get_running_loop().call_soon(self._task.cancel)

    def drop(self) -> None:
        """Do not begin."""
        self._work.close()

    async def _run(self) -> None:
        try:
            result = await self._work
        except BaseException as error:
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(result)


async def _next(items: AsyncGenerator[Any]) -> Any:
    return await anext(items, _END)


async def _close(items: AsyncGenerator[Any]) -> None:
    await items.aclose()


async def _enter(block: AbstractAsyncContextManager[T]) -> T:
    return await block.__aenter__()


async def _leave(block: AbstractAsyncContextManager[Any]) -> None:
    await block.__aexit__(None, None, None)


def _run(started: "Future[_Loop]") -> None:
    serving = _serve(started)
    try:
        asyncio.run(serving)
    except BaseException as error:
        if started.done():
            raise
        serving.close()
        started.set_exception(error)


def _end(started: "Future[_Loop]") -> None:
    """End a loop, on it, that nobody will use."""
    if started.exception() is None:
        started.result().ending.set()


async def _serve(started: "Future[_Loop]") -> None:
    """Run until the portal stops, and what it was given before that has ended."""
    ending = asyncio.Event()
    started.set_result(
        _Loop(asyncio.get_running_loop(), threading.current_thread(), os.getpid(), ending)
    )
    await ending.wait()
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)
