"""The fault that the suite injects through a backend's fault hook."""

from collections.abc import Callable


class FaultAt:
    """A `step` that does nothing until it is armed, and calls `fault` before the `at`-th step."""

    def __init__(self, at: int, fault: Callable[[], None]) -> None:
        self._at = at
        self._fault = fault
        self._passed = 0
        self.armed = False

    def __call__(self) -> None:
        """Count a step of an armed hook, and call the fault when its turn comes."""
        if not self.armed:
            return
        self._passed += 1
        if self._passed == self._at:
            self._fault()
