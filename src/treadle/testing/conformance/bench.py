"""Where a check works: a place of its own, and the stores that it opens there."""

from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType

from treadle import Store
from treadle.core.clock import Clock
from treadle.testing.clock import ManualClock
from treadle.testing.patience import patient
from treadle.testing.subject import Subject


class Bench:
    """`async with Bench(subject, place) as bench:` opens `bench.store`, and closes all after it."""

    store: Store

    def __init__(self, subject: Subject, place: Path) -> None:
        self.subject = subject
        self.place = _made(place / "store")
        self._elsewhere = place / "elsewhere"
        self.clock = ManualClock()
        self._handles = AsyncExitStack()

    async def __aenter__(self) -> "Bench":
        self.store = await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await patient(self._handles.aclose())

    async def open(self, clock: Clock | None = None, place: Path | None = None) -> Store:
        """Another handle on the store, or on the one at another `place`."""
        backend = self.subject.make(place or self.place, clock or self.clock)
        return await patient(self._handles.enter_async_context(Store(backend)))

    def elsewhere(self) -> Path:
        """Another place, for another store."""
        return _made(self._elsewhere)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
