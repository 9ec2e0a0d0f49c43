"""Which operations of a worker fail at present."""


class Health:
    """Remembers what failed when it was last tried."""

    def __init__(self) -> None:
        self._failing: dict[str, Exception] = {}

    @property
    def failing(self) -> dict[str, Exception]:
        """The errors of the operations that failed when they were last tried."""
        return dict(self._failing)

    def fail(self, operation: str, error: Exception) -> None:
        """Note that an operation has failed."""
        self._failing[operation] = error

    def succeed(self, operation: str) -> None:
        """Note that an operation has succeeded."""
        self._failing.pop(operation, None)
