"""The subject of a certification: a function that opens the backend as often as the suite needs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from treadle.backends.base import Backend
from treadle.clock import Clock

FacetName = Literal[
    "threads", "runs", "mailboxes", "documents", "hints", "commit", "size", "concurrency", "history"
]
CapabilityName = Literal["durable", "shared", "notifies", "faults"]
"""Something that a subject may declare. `faults`: its backend has the fault hook."""

Step = Callable[[], None]
"""The fault hook: the backend calls it before each operation on its medium (a write, a sync, a
statement). The suite runs such a backend in a process of its own, and `step` ends or pauses it."""


class MakeBackend(Protocol):
    """Creates a handle on the store in `folder`, not yet opened.

    Handles with the same folder share one store; another folder is another store, empty at first.
    `folder` is an empty folder that the suite removes; a database may be named after it. A backend
    that declares `durable` or `shared` needs a function that other processes can import.
    """

    def __call__(self, folder: Path, clock: Clock, /) -> Backend:
        """Create a backend on `folder` that takes the time from `clock`."""
        ...


class MakeSteppingBackend(Protocol):
    """Creates a backend like `MakeBackend`, one that calls `step`, the fault hook."""

    def __call__(self, folder: Path, clock: Clock, step: Step, /) -> Backend:
        """Create a backend that calls `step` before each operation on its medium."""
        ...


class RemoveStores(Protocol):
    """Removes everything that the stores of some folders keep outside of those folders."""

    def __call__(self, folders: Sequence[Path], /) -> None:
        """Remove the stores; no handle on them is open."""
        ...


class Subject(msgspec.Struct, frozen=True):
    """A backend to be certified."""

    make: MakeBackend
    make_stepping: MakeSteppingBackend | None = None
    """The fault hook. Without it, the suite cannot stop a commit in the middle."""
    remove: RemoveStores | None = None
    """For backends that keep something outside of the folder: the schema of a database, say."""
