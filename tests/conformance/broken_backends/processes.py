"""Backends that break rules which only several processes or a crash bring to light."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from tests.conformance.broken_backends.broken_backend import BROKEN_BACKENDS, BrokenBackend
from treadle.backends._deadline import Patience
from treadle.backends.base import Capabilities, Guarantee
from treadle.backends.files.backend import FilesBackend
from treadle.backends.memory.backend import MemoryBackend
from treadle.backends.model.tables import TABLE_NAMES, Tables
from treadle.clock import Clock
from treadle.core.commands import Commands, Receipt
from treadle.core.id_ranges import IdRanges
from treadle.core.mailbox_commands import Send
from treadle.core.thread_commands import AppendThread
from treadle.core.thread_queries import LoadThread
from treadle.testing.builtin_subjects import SteppingDisk
from treadle.testing.subject import Step, Subject


class Lockless(FilesBackend):
    """Writes without the lock."""

    async def open(self) -> None:
        await super().open()
        self._engine._lock.hold = _no_lock  # type: ignore[method-assign]


@contextmanager
def _no_lock(patience: Patience) -> Generator[None]:
    yield


class Solitary(FilesBackend):
    """Never looks at what other processes have written."""

    async def open(self) -> None:
        await super().open()
        replica = self._engine._catch_up()
        self._engine._catch_up = lambda: replica  # type: ignore[method-assign]


class Eager(FilesBackend):
    """Answers before anything is written."""

    async def commit(self, batch: Commands) -> Receipt:
        if not all(isinstance(command, AppendThread | Send) for command in batch):
            return await super().commit(batch)
        assert isinstance(batch[0], AppendThread)
        head = await self.read(LoadThread(thread_id=batch[0].thread_id))
        assert head is not None
        self._later = asyncio.ensure_future(self._commit_later(batch))
        return Receipt(results=(None,) * len(batch))

    async def _commit_later(self, batch: Commands) -> None:
        await asyncio.sleep(0.05)
        await super().commit(batch)


class Separate(FilesBackend):
    """Writes the commands of a batch one by one."""

    async def commit(self, batch: Commands) -> Receipt:
        results: list[Any] = []
        for command in batch:
            results += (await super().commit((command,))).results
        return Receipt(results=tuple(results))


class Inattentive(FilesBackend):
    """Does not look for what others write while it waits."""

    async def wait(
        self, timeout_ms: int, mailbox_id: str | None = None, among: IdRanges | None = None
    ) -> None:
        await asyncio.sleep(timeout_ms / 1000)


class Boastful(MemoryBackend):
    """Says that it keeps what it forgets."""

    capabilities = Capabilities(durable=True, shared=False, notifies=False)


class Partial(MemoryBackend):
    """Keeps everything but the runs."""

    capabilities = Capabilities(durable=True, shared=False, notifies=False)
    _kept: ClassVar[dict[Path, Tables]] = {}

    def __init__(self, folder: Path, clock: Clock) -> None:
        super().__init__(clock)
        self.tables = self._kept.setdefault(folder, self.tables)

    async def close(self) -> None:
        self.tables.runs.clear()
        await super().close()


class Unindexed(MemoryBackend):
    """Knows its runs after it was reopened, but not which entries they work on."""

    capabilities = Capabilities(durable=True, shared=False, notifies=False)
    _kept: ClassVar[dict[Path, Tables]] = {}

    def __init__(self, folder: Path, clock: Clock) -> None:
        super().__init__(clock)
        kept = self._kept.setdefault(folder, self.tables)
        for table in TABLE_NAMES:
            getattr(self.tables, table).update(getattr(kept, table))
        self._kept[folder] = self.tables


def make_lockless(folder: Path, clock: Clock) -> Lockless:
    return Lockless(folder, clock)


def make_stepping_lockless(folder: Path, clock: Clock, step: Step) -> Lockless:
    return Lockless(folder, clock, disk=SteppingDisk(step))


def make_solitary(folder: Path, clock: Clock) -> Solitary:
    return Solitary(folder, clock)


def make_eager(folder: Path, clock: Clock) -> Eager:
    return Eager(folder, clock)


def make_inattentive(folder: Path, clock: Clock) -> Inattentive:
    return Inattentive(folder, clock)


def make_boastful(folder: Path, clock: Clock) -> Boastful:
    return Boastful(clock)


def make_partial(folder: Path, clock: Clock) -> Partial:
    return Partial(folder, clock)


def make_unindexed(folder: Path, clock: Clock) -> Unindexed:
    return Unindexed(folder, clock)


def make_separate(folder: Path, clock: Clock) -> Separate:
    return Separate(folder, clock)


def make_stepping_separate(folder: Path, clock: Clock, step: Step) -> Separate:
    return Separate(folder, clock, disk=SteppingDisk(step))


BROKEN_BACKENDS |= {
    "Lockless": BrokenBackend(
        Guarantee.ONE_ORDER,
        "several processes lose and repeat nothing",
        Subject(make=make_lockless),
    ),
    "Lockless, held": BrokenBackend(
        Guarantee.ONE_ORDER,
        "a write paused at any step comes before or after the other: append against append",
        Subject(make=make_lockless, make_stepping=make_stepping_lockless),
    ),
    "Solitary": BrokenBackend(
        Guarantee.ONE_ORDER,
        "several processes lose and repeat nothing",
        Subject(make=make_solitary),
    ),
    "Eager": BrokenBackend(
        Guarantee.ACKNOWLEDGED_IS_KEPT,
        "acknowledged writes of killed processes are kept and all others are whole or absent",
        Subject(make=make_eager),
    ),
    "Separate": BrokenBackend(
        Guarantee.ALL_OR_NOTHING,
        "a process that dies at any step leaves its write whole or absent: a worker's step",
        Subject(make=make_separate, make_stepping=make_stepping_separate),
    ),
    "Inattentive": BrokenBackend(
        Guarantee.WAITS_END,
        "wait ends when another process sends",
        Subject(make=make_inattentive),
    ),
    "Partial": BrokenBackend(
        Guarantee.ACKNOWLEDGED_IS_KEPT,
        "a write is kept when the store is reopened: upsert",
        Subject(make=make_partial),
    ),
    "Unindexed": BrokenBackend(
        Guarantee.RUNS_END_WITH_ENTRIES,
        "runs are closed after the store was reopened",
        Subject(make=make_unindexed),
    ),
    "Boastful": BrokenBackend(
        Guarantee.ACKNOWLEDGED_IS_KEPT,
        "a durable store knows its deltas after it was reopened",
        Subject(make=make_boastful),
    ),
}
