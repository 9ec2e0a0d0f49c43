"""A thread that works for callers on event loops: what gathers while it works is done as one group.

Group commit is this: callers that arrive while a group is being synced share the next sync.
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
"""Most calls of a group; it bounds how long other processes wait."""


class Failure(msgspec.Struct, frozen=True):
    """What comes of a call that failed."""

    error: BaseException


class _Request(msgspec.Struct, Generic[CallT], eq=False):
    call: CallT | None
    """None ends the thread."""
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"


class GroupThread(Generic[CallT]):
    """Carries out calls in groups, in the order in which they came.

    Args:
        name: of the thread.
        carry_out: what comes of each call of a group, on the thread: a result, a `Failure`, or a
            future of a call that will be done elsewhere.
        end: called at the end, on the thread.
        told: called with the calls of a group once their callers know, on their event loop.
    """

    def __init__(
        self,
        name: str,
        carry_out: Callable[[list[CallT]], list[Any]],
        end: Callable[[], None] = lambda: None,
        told: Callable[[list[CallT]], None] = lambda calls: None,
    ) -> None:
        self._name = name
        self._carry_out = carry_out
        self._end = end
        self._told = told
        self._queue: SimpleQueue[_Request[CallT]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether calls are taken."""
        return self._thread is not None

    def start(self) -> None:
        """Begin to take calls."""
        self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Let what was given be done, and end; an error of `end` is raised here."""
        thread, self._thread = self._thread, None
        if thread is not None:
            closing = self._put(None)
            await asyncio.shield(closing)
            await asyncio.to_thread(thread.join)

    def ask(self, call: CallT) -> "asyncio.Future[Any]":
        """Have a call carried out.

        Raises:
            StoreClosed: the thread does not run.
        """
        self.require_running()
        return self._put(call)

    def require_running(self) -> None:
        """Refuse what comes before the start or after the end.

        Raises:
            StoreClosed: the thread does not run.
        """
        if self._thread is None:
            raise StoreClosed

    def _put(self, call: CallT | None) -> "asyncio.Future[Any]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._queue.put(_Request(call, loop, future))
        return future

    def _work(self) -> None:
        while True:
            group = [self._queue.get()]
            with suppress(Empty):
                while len(group) < GROUP and group[-1].call is not None:
                    group.append(self._queue.get_nowait())
            closing = group.pop() if group[-1].call is None else None
            self._run([request for request in group if not request.future.cancelled()])
            if closing is not None:
                self._finish([closing], [self._ended()])
                return

    def _run(self, group: list[_Request[CallT]]) -> None:
        calls = [request.call for request in group if request.call is not None]
        if not calls:
            return
        try:
            outcomes = self._carry_out(calls)
        except Exception as error:  # a mistake of ours: the thread must go on
            outcomes = [Failure(error)] * len(calls)
        self._finish(group, outcomes)

    def _ended(self) -> Failure | None:
        try:
            self._end()
        except Exception as error:
            return Failure(error)
        return None

    def _finish(self, requests: list[_Request[CallT]], outcomes: list[Any]) -> None:
        """Tell the callers, each event loop once; of what is done elsewhere, when it is."""
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Request[CallT], Any]]] = {}
        for request, outcome in zip(requests, outcomes, strict=True):
            if isinstance(outcome, Future):
                outcome.add_done_callback(partial(self._finish_later, request))
            else:
                by_loop.setdefault(request.loop, []).append((request, outcome))
        for loop, settled in by_loop.items():
            with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
                loop.call_soon_threadsafe(self._tell, settled)

    def _finish_later(self, request: _Request[CallT], done: "Future[Any]") -> None:
        error = done.exception()
        self._finish([request], [done.result() if error is None else Failure(error)])

    def _tell(self, settled: list[tuple[_Request[CallT], Any]]) -> None:
        for request, outcome in settled:
            if request.future.cancelled():
                continue
            if isinstance(outcome, Failure):
                request.future.set_exception(outcome.error)
            else:
                request.future.set_result(outcome)
        self._told([request.call for request, _ in settled if request.call is not None])
