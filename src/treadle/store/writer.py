"""What the store's three parts write through."""

from typing import Protocol, TypeVar

from treadle.store.batch import Write

T = TypeVar("T")


class Writer(Protocol):
    """Commits one write by itself."""

    async def __call__(self, write: Write[T]) -> T:
        """Commit `write` as a batch of one, and give its result."""
        ...
