"""What is certified: a way to open a backend as often as the suite needs it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from treadle.backends.base import Backend
from treadle.core.clock import Clock
from treadle.testing.faults import Step


class MakeBackend(Protocol):
    """Makes a handle, not yet opened, on the store at `place`.

    Handles made with the same place share one store; another place is another store, empty at
    first. `place` is an empty folder that the suite removes; a database may be named after it. To
    be certified as `durable` or `shared`, it must be a function that other processes can import.
    """

    def __call__(self, place: Path, clock: Clock, /) -> Backend:
        """A backend on `place` that goes by `clock`."""
        ...


class MakeSteppingBackend(Protocol):
    """As `MakeBackend`, for a backend that calls `step` before each thing it does to its medium."""

    def __call__(self, place: Path, clock: Clock, step: Step, /) -> Backend:
        """A backend on `place` that goes by `clock` and calls `step`."""
        ...


class RemoveStores(Protocol):
    """Takes away what stores at some of the `places` have elsewhere than in those folders."""

    def __call__(self, places: Sequence[Path], /) -> None:
        """Called once no handle is open any more."""
        ...


class Subject(msgspec.Struct, frozen=True):
    """A backend to be certified."""

    make: MakeBackend
    make_stepping: MakeSteppingBackend | None = None
    """The fault hook; without it, a commit cannot be stopped half-way in this process."""
    remove: RemoveStores | None = None
    """For backends that keep something outside of the place: the schema of a database, say."""
