"""What a subject must do to be measured: keep threads, or keep work waiting."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import closing
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.measure import size_of


class Subject(ABC):
    """One that is measured, in a folder of its own."""

    name: ClassVar[str]
    distribution: ClassVar[str] = ""
    """The package it comes in; empty if it needs none."""
    uses_store: ClassVar[bool] = False
    """Whether it is Treadle, which is measured once for each store of the run."""
    uses_server: ClassVar[bool] = False
    """Whether it works on the PostgreSQL server of the run, whose URL it gets as `store`."""
    uses_uvloop: ClassVar[bool] = False
    """Whether it runs on uvloop, as its own command makes it do."""
    slow: ClassVar[bool] = False
    """Whether it does less work, once, so that the run ends."""

    def __init__(self, folder: Path, store: str) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.store = store

    @classmethod
    def version(cls) -> str | None:
        """The installed version, empty if it has none of its own; None if it is not installed."""
        if not cls.distribution:
            return ""
        try:
            return metadata.version(cls.distribution)
        except metadata.PackageNotFoundError:
            return None

    @abstractmethod
    async def open(self) -> None:
        """Get ready."""

    @abstractmethod
    async def close(self) -> None:
        """Finish, so that the files have their final size."""

    @abstractmethod
    def durability(self) -> str:
        """When a write is on the disk; asked for before it is closed."""

    def size(self) -> int:
        """The bytes of what it keeps; asked for after it is closed."""
        return size_of(self.folder)


class ThreadSubject(Subject):
    """One that keeps threads."""

    fills_quickly: ClassVar[bool] = True
    """Whether a thread of 100,000 messages is made in seconds."""

    @abstractmethod
    async def start(self, name: str, texts: Sequence[str] = ()) -> Any:
        """Make a thread that has these messages; what it is known by afterwards."""

    @abstractmethod
    async def append(self, thread: Any, text: str) -> None:
        """Add a message; when this returns it is as durable as it gets."""

    @abstractmethod
    async def last(self, thread: Any, count: int) -> Sequence[object]:
        """Read the last messages, oldest first, as the objects that its user gets."""


class BlockingThreadSubject(ThreadSubject):
    """One without asyncio: many callers are many operating system threads."""

    @abstractmethod
    def append_now(self, thread: Any, text: str) -> None:
        """Append, and block."""

    async def append(self, thread: Any, text: str) -> None:
        self.append_now(thread, text)


class BatchingThreadSubject(ThreadSubject):
    """One that is handed the appends of all callers together."""

    @abstractmethod
    def append_together(self, pairs: Sequence[tuple[Any, str]]) -> None:
        """Append to several threads in one commit."""


class QueueSubject(Subject):
    """One that keeps work waiting: payloads that are claimed, one by one, and acknowledged."""

    after_crash: ClassVar[str]
    """What becomes of claimed work when its worker dies."""

    @abstractmethod
    async def fill(self, payloads: Sequence[str]) -> None:
        """Queue payloads, quickly."""

    @abstractmethod
    async def claim(self) -> Any:
        """Take one, or None."""

    @abstractmethod
    async def ack(self, job: Any) -> None:
        """Settle one that was claimed."""

    @abstractmethod
    def payload(self, job: Any) -> str:
        """What was queued."""


class BlockingQueueSubject(QueueSubject):
    """One without asyncio: many workers are many operating system threads."""

    @abstractmethod
    def claim_now(self) -> Any:
        """Claim, and block."""

    @abstractmethod
    def ack_now(self, job: Any) -> None:
        """Acknowledge, and block."""

    async def claim(self) -> Any:
        return self.claim_now()

    async def ack(self, job: Any) -> None:
        self.ack_now(job)


class BatchingQueueSubject(QueueSubject):
    """One that claims several at once."""

    @abstractmethod
    async def claim_several(self, limit: int) -> Sequence[Any]:
        """Take up to so many."""

    @abstractmethod
    async def ack_several(self, jobs: Sequence[Any]) -> None:
        """Settle them."""


def sqlite_durability(database: Path, synchronous: str = "") -> str:
    """Name the journal that a database has and how it is synced: as told, or as SQLite does."""
    with closing(sqlite3.connect(database)) as connection:
        [journal] = connection.execute("pragma journal_mode").fetchone()
        [default] = connection.execute("pragma synchronous").fetchone()
    synced = synchronous or ("OFF", "NORMAL", "FULL", "EXTRA")[default]
    return f"{journal.upper()}, {synced}"
