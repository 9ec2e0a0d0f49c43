"""The deadline of a call, which every wait on its way inherits."""

import time

import msgspec

CALL_SECONDS = 30.0
"""The deadline of a commit, a claim or a read, on every backend. A server that restarts or fails
over is back by then; a caller that hears nothing for longer takes the program for dead."""


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
