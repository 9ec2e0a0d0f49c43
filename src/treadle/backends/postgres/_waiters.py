"""Threads on which calls wait for rows that other transactions hold.

A transaction may hold a row for long, and more calls may need it than there are threads. So the
calls take turns: each waits for a moment, and then queues up after the others. A call whose row is
free again is soon carried out, whatever the others wait for.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Condition
from typing import Any, TypeVar

from treadle.backends._deadline import Deadline
from treadle.backends.postgres._limits import ROUND_MS, SINGLE_LOCK_MS, WAITING_THREADS
from treadle.backends.postgres._transactions import Blocked, Call
from treadle.backends.postgres.location import Location
from treadle.errors import StoreUnavailable

T = TypeVar("T")


class Waiters:
    """Carries out calls that have to wait.

    Args:
        location: the database, for errors.
    """

    def __init__(self, location: Location) -> None:
        self._location = location
        self._threads = ThreadPoolExecutor(WAITING_THREADS, "treadle-postgres-waiter")
        self._waiting = 0
        self._changed = Condition()

    def submit(
        self,
        attempt: Callable[[Call[Any], int], T],
        call: Call[Any],
        blocked: Blocked | None = None,
    ) -> "Future[T]":
        """Have an attempt made until it succeeds, fails, or the call's deadline has passed.

        Args:
            attempt: called with `call` and how many milliseconds it may wait for a row; raises
                `Blocked` after that.
            call: the call.
            blocked: why it has to wait, as far as is known.

        Returns:
            Its result; `StoreUnavailable` if the process may have no more threads, and no attempt
            is ever made.
        """
        done: Future[T] = Future()
        with self._changed:
            self._waiting += 1
        try:
            self._threads.submit(self._begin, attempt, call, done, blocked)
        except RuntimeError as error:
            # The pool queues the call before it starts a thread, so another thread may have it.
            if done.cancel():
                self._end()
                return _refused(StoreUnavailable(str(self._location), str(error)))
        return done

    def close(self) -> None:
        """Wait until all calls have ended."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting)
        self._threads.shutdown()

    def _begin(
        self,
        attempt: Callable[[Call[Any], int], T],
        call: Call[Any],
        done: "Future[T]",
        blocked: Blocked | None,
    ) -> None:
        """Take the first turn, unless the caller was refused because no thread starts."""
        if done.set_running_or_notify_cancel():
            self._take_turn(attempt, call, done, blocked)

    def _take_turn(
        self,
        attempt: Callable[[Call[Any], int], T],
        call: Call[Any],
        done: "Future[T]",
        blocked: Blocked | None,
    ) -> None:
        try:
            result = self._attempt(attempt, call, blocked)
        except Blocked as still_blocked:
            with suppress(RuntimeError):  # no thread is left: then this one takes the call
                self._threads.submit(self._take_turn, attempt, call, done, still_blocked)
        except BaseException as error:  # it is raised to the caller: the thread must go on
            self._end()
            done.set_exception(error)
        else:
            self._end()
            done.set_result(result)

    def _attempt(
        self,
        attempt: Callable[[Call[Any], int], T],
        call: Call[Any],
        blocked: Blocked | None,
    ) -> T:
        if blocked is None:
            return attempt(call, self._turn_ms(call.deadline))
        if call.deadline.has_passed:
            raise StoreUnavailable(str(self._location), blocked.reason) from blocked
        try:
            return attempt(call, self._turn_ms(call.deadline))
        except StoreUnavailable as error:
            raise blocked.before(error) from error.__cause__

    def _turn_ms(self, deadline: Deadline) -> int:
        """Shorter if many are waiting, so that each has a turn in `ROUND_MS`."""
        with self._changed:
            share = ROUND_MS * WAITING_THREADS // self._waiting
        turn = min(ROUND_MS, max(SINGLE_LOCK_MS, share))
        left = int(deadline.seconds_left() * 1000)
        return left if turn < left < 2 * turn else turn  # the last one is not a short one

    def _end(self) -> None:
        with self._changed:
            self._waiting -= 1
            self._changed.notify_all()


def _refused(error: StoreUnavailable) -> "Future[Any]":
    refused: Future[Any] = Future()
    refused.set_exception(error)
    return refused
