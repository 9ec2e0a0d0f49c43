"""A thread that works for callers on event loops, in groups.

This is group commit: calls that arrive while a group is being synced share the next sync.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import msgspec

from treadle.backends._deadline import CALL_SECONDS, Deadline, Patience
from treadle.backends._forks import require_process
from treadle.backends.cancellation import shielded
from treadle.errors import StoreClosed, StoreUnavailable

CallT = TypeVar("CallT")

_LOG = logging.getLogger(__name__)

GROUP = 256
"""Most calls of a group. It bounds how long other processes wait for a group to end."""
HEAVY = 200
"""A group gets no further call once its calls weigh so much."""


class Failure(msgspec.Struct, frozen=True):
    """The outcome of a call that failed."""

    error: BaseException


class Request(msgspec.Struct, Generic[CallT], eq=False):
    """A call, and the caller that waits for it."""

    call: CallT
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"
    deadline: Deadline

    @property
    def is_wanted(self) -> bool:
        """Whether the caller still waits."""
        return not self.future.cancelled()


class GroupThread(Generic[CallT]):
    """Carries out calls in groups, in the order in which they arrive.

    Args:
        name: the name of the thread.
        carry_out: called on the thread with a group; returns for each call its result, a `Failure`,
            or a future, if the call is completed elsewhere. It raises `StoreUnavailable` if others
            kept the store as long as `patience` allows; then it has done nothing.
        end: called on the thread when it ends; it releases everything, even if it raises.
        on_done: called with the calls of a group after their callers have been answered, on the
            callers' event loop.
        call_seconds: how long each call may wait for others.
        weigh: returns the weight of a call: by default, all calls of a group weigh nothing.
    """

    _THREADS = 1
    """How many threads there are. With more, `_next_group` must let one at a time in."""

    def __init__(
        self,
        name: str,
        carry_out: Callable[[list[CallT]], list[Any]],
        end: Callable[[], None] = lambda: None,
        on_done: Callable[[list[CallT]], None] = lambda calls: None,
        call_seconds: float = CALL_SECONDS,
        weigh: Callable[[CallT], int] = lambda call: 0,
    ) -> None:
        self._name = name
        self._carry_out = carry_out
        self._end = end
        self._on_done = on_done
        self._call_seconds = call_seconds
        self._weigh = weigh
        self._queue: SimpleQueue[Request[CallT] | None] = SimpleQueue()
        """None ends the thread."""
        self._group: list[Request[CallT]] = []
        """The calls that `carry_out` works on."""
        self._threads: list[threading.Thread] = []
        self._working = 0
        """How many of the threads have not ended."""
        self._is_accepting = False
        # Held while a call is handed over, so that the thread does not end meanwhile. It is one
        # that a finalizer may take in a thread that holds it.
        self._handing_over = threading.RLock()
        self._is_closing = False
        self._failure: Exception | None = None
        self._process = os.getpid()

    @property
    def patience(self) -> Patience:
        """How long the group that is being carried out may wait; its first call came first."""
        group = self._group
        return Patience(group[0].deadline, lambda: any(each.is_wanted for each in group))

    @property
    def is_running(self) -> bool:
        """Whether calls are accepted."""
        return self._is_accepting and os.getpid() == self._process

    def start(self) -> None:
        """Start to accept calls.

        Raises:
            RuntimeError: the process may have no more threads; `end` was called.
        """
        self._process = os.getpid()
        self._handing_over = threading.RLock()  # a fork may have copied one that was held
        self._queue = SimpleQueue()
        self._failure = None
        self._is_closing = False
        self._threads = []
        try:
            for _ in range(self._THREADS):
                self._start_thread()
        except RuntimeError:
            self._hand_over(None)
            self.join()
            if not self._threads:  # otherwise the last one has done it
                self._end()
            raise
        self._is_accepting = True

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        with self._handing_over:
            self._working += 1
        try:
            thread.start()
        except RuntimeError:
            with self._handing_over:
                self._working -= 1
            raise
        self._threads.append(thread)

    def stop(self) -> None:
        """Accept no more calls; the thread ends once it has carried out the accepted ones.

        It does not wait for that, and is safe in a finalizer. In a forked child it does nothing:
        the thread is the parent's.
        """
        if self.is_running:
            with self._handing_over:
                self._is_accepting = False
                self._hand_over(None)

    def join(self) -> None:
        """Wait until the thread has ended, if it was started."""
        for thread in self._threads:
            thread.join()

    async def close(self) -> None:
        """Carry out the calls that were accepted, and end; an error of `end` is raised here.

        A cancelled caller waits, too: what opens the store again must not meet what is ending.
        """
        threads = self._threads
        if not threads or os.getpid() != self._process:
            return
        self._is_closing = True
        self.stop()
        await shielded(asyncio.to_thread(self.join))
        if self._threads is not threads:
            return  # another caller has closed it, too
        self._threads = []
        if self._failure is not None:
            raise self._failure

    def ask(self, call: CallT) -> "asyncio.Future[Any]":
        """Have a call carried out.

        Raises:
            StoreClosed: the thread is not running, or runs in the process that forked this one.
        """
        self.require_running()
        loop = asyncio.get_running_loop()
        deadline = Deadline.after(self._call_seconds)
        request = Request(call, loop, loop.create_future(), deadline)
        with self._handing_over:
            if not self._is_accepting:  # another event loop has closed the store just now
                raise StoreClosed
            self._hand_over(request)
        return request.future

    def _hand_over(self, request: Request[CallT] | None) -> None:
        """Give the threads a request, or None to end them."""
        self._queue.put(request)

    def require_running(self) -> None:
        """Check that calls are accepted.

        Raises:
            StoreClosed: the thread is not running, or runs in the process that forked this one.
        """
        if not self._is_accepting:
            raise StoreClosed
        require_process(self._process)

    def _work(self) -> None:
        while self._work_on_group():
            pass
        with self._handing_over:
            self._working -= 1
            if self._working:
                return
        try:
            self._end()
        except Exception as error:
            self._failure = error
            if not self._is_closing:
                _LOG.exception("%s: closing a store that was dropped failed", self._name)

    def _work_on_group(self) -> bool:
        """Carry out the next group; return False if the thread is to end."""
        group = self._next_group()
        left = group
        while left := [request for request in left if request.is_wanted]:
            left = self._attempt(left)
        self._group = []  # an error of a call refers to its caller, and so to the store
        self._ended(group)
        return bool(group)

    def _ended(self, group: list[Request[CallT]]) -> None:
        """Take note that a group was carried out."""

    def _attempt(self, group: list[Request[CallT]]) -> list[Request[CallT]]:
        """Carry out a group; return the calls that others kept from it, and that have time left."""
        self._group = group
        calls = [request.call for request in group]
        try:
            outcomes = self._carry_out(calls)
        except StoreUnavailable as error:
            late = max(1, sum(request.deadline.has_passed for request in group))
            self._finish(group[:late], [Failure(error)] * late)
            return group[late:]
        except Exception as error:  # a mistake of ours: the thread must go on
            outcomes = [Failure(error)] * len(calls)
        self._finish(group, outcomes)
        return []

    def _next_group(self) -> list[Request[CallT]]:
        """Wait for calls, and return those that are there; none if the thread is to end."""
        first = self._queue.get()
        group = [] if first is None else [first]
        weight = 0 if first is None else self._weigh(first.call)
        # Nobody else takes from the queue, so what is there stays there.
        while group and len(group) < GROUP and weight < HEAVY and not self._queue.empty():
            request = self._queue.get()
            if request is None:
                self._queue.put(None)  # for the next time
                break
            group.append(request)
            weight += self._weigh(request.call)
        return group

    def _finish(self, requests: list[Request[CallT]], outcomes: list[Any]) -> None:
        """Answer the callers; those of a call that is completed elsewhere, when it is.

        Each event loop is called once, because waking it costs more than answering a caller.
        """
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Request[CallT], Any]]] = {}
        for answer in zip(requests, outcomes, strict=True):
            request, outcome = answer
            if isinstance(outcome, Future):
                outcome.add_done_callback(partial(self._finish_later, request))
            else:
                by_loop.setdefault(request.loop, []).append(answer)
        for loop, answers in by_loop.items():
            with suppress(RuntimeError):  # the loop is closed: no caller waits there
                loop.call_soon_threadsafe(self._report, answers)

    def _finish_later(self, request: Request[CallT], done: "Future[Any]") -> None:
        error = done.exception()
        self._finish([request], [done.result() if error is None else Failure(error)])

    def _report(self, answers: list[tuple[Request[CallT], Any]]) -> None:
        done: list[CallT] = []
        for request, outcome in answers:
            done.append(request.call)
            if request.future.cancelled():
                continue
            if isinstance(outcome, Failure):
                request.future.set_exception(outcome.error)
            else:
                request.future.set_result(outcome)
        self._on_done(done)
