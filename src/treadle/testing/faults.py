"""The fault hook: a backend that offers it lets the suite stop a commit at any of its steps.

Such a backend (`Subject.make_stepping`) calls `step()` before each thing it does to its medium: a
write, a sync, a statement. The suite runs it in a process of its own, which dies or stands still
there.
"""

from collections.abc import Callable

Step = Callable[[], None]
"""Called before each step on the medium; it may end the process, or take its time."""


class FaultAt:
    """Lets all steps pass until it is armed; then calls `fault` before the `at`-th, once."""

    def __init__(self, at: int, fault: Callable[[], None]) -> None:
        self._at = at
        self._fault = fault
        self._passed = 0
        self.armed = False

    def __call__(self) -> None:
        """A step is about to be taken."""
        if not self.armed:
            return
        self._passed += 1
        if self._passed == self._at:
            self._fault()
