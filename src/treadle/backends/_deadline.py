"""How long a call may take: a deadline, which every wait on its way inherits."""

import time
from collections.abc import Callable

import msgspec

CALL_SECONDS = 30.0
"""The deadline of every call of a store, and of opening it. A server that restarts or fails over is
back by then; a caller that hears nothing for longer takes the program for dead."""

CLOSE_SECONDS = 1.0
"""How long closing a store waits for other processes, after the calls that were accepted. It is
short, because what closing does under the lock can be left to others."""


class Deadline(msgspec.Struct, frozen=True):
    """A point in time at which a call is given up."""

    at: float
    """By `time.monotonic`, in seconds."""

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """The deadline that many seconds from now."""
        return cls(time.monotonic() + seconds)

    @property
    def has_passed(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self.at

    def seconds_left(self) -> float:
        """The time that is left, 0 if it is over."""
        return max(0.0, self.at - time.monotonic())

    def sooner(self, seconds: float) -> "Deadline":
        """The deadline that many seconds from now, or this one if it is sooner."""
        return Deadline(min(self.at, time.monotonic() + seconds))

    def sleep(self, seconds: float) -> None:
        """Sleep that long, but not beyond the deadline."""
        time.sleep(min(seconds, self.seconds_left()))


def _always() -> bool:
    return True


class Patience(msgspec.Struct, frozen=True):
    """How long blocking code waits for others: until a deadline, and while its caller waits."""

    deadline: Deadline
    is_wanted: Callable[[], bool] = _always
    """Returns False once the caller is cancelled."""

    @classmethod
    def of(cls, seconds: float, is_wanted: Callable[[], bool] = _always) -> "Patience":
        """The patience that ends that many seconds from now."""
        return cls(Deadline.after(seconds), is_wanted)

    @property
    def is_over(self) -> bool:
        """Whether to give up."""
        return self.deadline.has_passed or not self.is_wanted()
