"""The harness of one check: its folders, its clock, and the stores that it opens."""

from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType

from treadle import Store
from treadle.backends.base import Backend
from treadle.clock import Clock
from treadle.testing._harness.timeouts import with_timeout
from treadle.testing.clock import ManualClock
from treadle.testing.subject import Subject


class Harness:
    """`async with Harness(subject, folder) as harness:` opens `harness.store`.

    All stores that it opened are closed at the end of the block.
    """

    store: Store
    backend: Backend
    """The backend of the store that was opened last."""

    def __init__(self, subject: Subject, folder: Path) -> None:
        self.subject = subject
        self.folder = _created(folder / "store")
        self._other = folder / "other"
        self.clock = ManualClock()
        self._handles = AsyncExitStack()

    async def __aenter__(self) -> "Harness":
        self.store = await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await with_timeout(self._handles.aclose())

    async def open(self, clock: Clock | None = None, folder: Path | None = None) -> Store:
        """Open another handle on the store, or on the store in another `folder`."""
        self.backend = self.subject.make(folder or self.folder, clock or self.clock)
        return await with_timeout(self._handles.enter_async_context(Store(self.backend)))

    async def open_other(self, clock: Clock | None = None) -> Store:
        """Open a second, independent store."""
        return await self.open(clock, _created(self._other))


def _created(folder: Path) -> Path:
    folder.mkdir()
    return folder
