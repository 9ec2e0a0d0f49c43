"""A thread that works for callers on event loops, in groups.

This is group commit: calls that arrive while a group is being synced share the next sync.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

import msgspec

from treadle.errors import StoreClosed

CallT = TypeVar("CallT")

GROUP = 256
"""Most calls of a group. It bounds how long other processes wait for a group to end."""


class Failure(msgspec.Struct, frozen=True):
    """The outcome of a call that failed."""

    error: BaseException


class _Request(msgspec.Struct, Generic[CallT], eq=False):
    call: CallT | None
    """None ends the thread."""
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"


class GroupThread(Generic[CallT]):
    """Carries out calls in groups, in the order in which they arrive.

    Args:
        name: the name of the thread.
        carry_out: called on the thread with a group; returns for each call its result, a `Failure`,
            or a future, if the call is completed elsewhere.
        end: called on the thread when it ends.
        on_done: called with the calls of a group after their callers have been answered, on the
            callers' event loop.
    """

    def __init__(
        self,
        name: str,
        carry_out: Callable[[list[CallT]], list[Any]],
        end: Callable[[], None] = lambda: None,
        on_done: Callable[[list[CallT]], None] = lambda calls: None,
    ) -> None:
        self._name = name
        self._carry_out = carry_out
        self._end = end
        self._on_done = on_done
        self._queue: SimpleQueue[_Request[CallT]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether calls are accepted."""
        return self._thread is not None

    def start(self) -> None:
        """Start to accept calls."""
        self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Carry out the calls that were accepted, and end; an error of `end` is raised here."""
        thread, self._thread = self._thread, None
        if thread is not None:
            loop = asyncio.get_running_loop()
            closing = _Request[CallT](None, loop, loop.create_future())
            self._queue.put(closing)
            await asyncio.shield(closing.future)
            await asyncio.to_thread(thread.join)

    def ask(self, call: CallT) -> "asyncio.Future[Any]":
        """Have a call carried out.

        Raises:
            StoreClosed: the thread is not running.
        """
        if self._thread is None:
            raise StoreClosed
        loop = asyncio.get_running_loop()
        request = _Request(call, loop, loop.create_future())
        self._queue.put(request)
        return request.future

    def require_running(self) -> None:
        """Check that calls are accepted.

        Raises:
            StoreClosed: the thread is not running.
        """
        if self._thread is None:
            raise StoreClosed

    def _work(self) -> None:
        while True:
            group = [self._queue.get()]
            with suppress(Empty):
                while len(group) < GROUP and group[-1].call is not None:
                    group.append(self._queue.get_nowait())
            closing = group.pop() if group[-1].call is None else None
            requests: list[_Request[CallT]] = []
            calls: list[Any] = []
            for request in group:
                if not request.future.cancelled():
                    requests.append(request)
                    calls.append(request.call)
            if requests:
                try:
                    outcomes = self._carry_out(calls)
                except Exception as error:  # a mistake of ours: the thread must go on
                    outcomes = [Failure(error)] * len(calls)
                self._finish(requests, outcomes)
            if closing is not None:
                self._finish([closing], [self._ended()])
                return

    def _ended(self) -> Failure | None:
        try:
            self._end()
        except Exception as error:
            return Failure(error)
        return None

    def _finish(self, requests: list[_Request[CallT]], outcomes: list[Any]) -> None:
        """Answer the callers; those of a call that is completed elsewhere, when it is.

        Each event loop is called once, because waking it costs more than answering a caller.
        """
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Request[CallT], Any]]] = {}
        for request, outcome in zip(requests, outcomes, strict=True):
            if isinstance(outcome, Future):
                outcome.add_done_callback(partial(self._finish_later, request))
            else:
                by_loop.setdefault(request.loop, []).append((request, outcome))
        for loop, answers in by_loop.items():
            with suppress(RuntimeError):  # the loop is closed: no caller waits there
                loop.call_soon_threadsafe(self._report, answers)

    def _finish_later(self, request: _Request[CallT], done: "Future[Any]") -> None:
        error = done.exception()
        self._finish([request], [done.result() if error is None else Failure(error)])

    def _report(self, answers: list[tuple[_Request[CallT], Any]]) -> None:
        done: list[CallT] = []
        for request, outcome in answers:
            if request.call is not None:
                done.append(request.call)
            if request.future.cancelled():
                continue
            if isinstance(outcome, Failure):
                request.future.set_exception(outcome.error)
            else:
                request.future.set_result(outcome)
        self._on_done(done)
