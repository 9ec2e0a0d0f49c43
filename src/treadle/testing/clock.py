"""Clocks that tests hold in their hands; all in unix milliseconds."""

START = 1_800_000_000_000


class ManualClock:
    """Stands still until its `now` is set."""

    def __init__(self, now: int = START) -> None:
        self.now = now
        """The present, in unix milliseconds."""

    def __call__(self) -> int:
        """The time it was set to."""
        return self.now


class TickingClock:
    """One millisecond later each time it is read."""

    def __init__(self, start: int = START) -> None:
        self.start = start
        self.now = start

    def __call__(self) -> int:
        """The next millisecond."""
        self.now += 1
        return self.now

    def has_shown(self, time: object) -> bool:
        """Whether `time` is one that was read off this clock."""
        return type(time) is int and self.start < time <= self.now
