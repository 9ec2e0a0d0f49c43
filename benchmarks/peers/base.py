"""The interfaces of subjects: stores of threads, and queues."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import closing
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.measure import size_of


class Subject(ABC):
    """A subject, with its own folder."""

    name: ClassVar[str]
    distribution: ClassVar[str] = ""
    """Its package; empty if it needs none."""
    uses_store: ClassVar[bool] = False
    """It is Treadle, which is measured once for each store of the run."""
    uses_server: ClassVar[bool] = False
    """It uses the PostgreSQL server of the run, whose URL it gets as `store`."""
    uses_uvloop: ClassVar[bool] = False
    """It runs on uvloop, as its own command does."""
    slow: ClassVar[bool] = False
    """It does less work, once, so that a run takes minutes and not hours."""

    def __init__(self, folder: Path, store: str) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.store = store

    @classmethod
    def version(cls) -> str | None:
        """Return the installed version; empty if there is no package, None if it is missing."""
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
        """Close it, so that its files have their final size."""

    @abstractmethod
    def durability(self) -> str:
        """Return its sync settings; called before it is closed."""

    def size(self) -> int:
        """Return the size of its data in bytes; called after it is closed."""
        return size_of(self.folder)


class ThreadSubject(Subject):
    """A store of threads."""

    fills_quickly: ClassVar[bool] = True
    """It creates a thread of 100,000 messages in seconds."""
    commits_together: ClassVar[bool] = False
    """Appends of many callers share commits, so that it is filled by many."""

    @abstractmethod
    async def start(self, name: str, texts: Sequence[str] = ()) -> Any:
        """Create a thread with these messages; return its handle for the other methods."""

    @abstractmethod
    async def append(self, thread: Any, text: str) -> None:
        """Add a message; when this returns, the message is durable."""

    @abstractmethod
    async def last(self, thread: Any, count: int) -> Sequence[object]:
        """Read the last messages, oldest first, as the objects that users get."""


class EditSubject(ThreadSubject):
    """A store of threads from which the last message can be taken back."""

    has_titles: ClassVar[bool] = True

    @abstractmethod
    async def take_back(self, thread: Any) -> None:
        """Remove the last message; when this returns, it is gone for good."""

    async def rename(self, thread: Any, title: str) -> None:
        """Change the title; when this returns, it is durable."""
        raise NotImplementedError


class BlockingThreadSubject(ThreadSubject):
    """A store of threads without asyncio: many callers are many operating system threads."""

    @abstractmethod
    def append_now(self, thread: Any, text: str) -> None:
        """Append, and block."""

    async def append(self, thread: Any, text: str) -> None:
        self.append_now(thread, text)


class BatchingThreadSubject(ThreadSubject):
    """A store of threads that gets the appends of all callers together."""

    @abstractmethod
    def append_together(self, pairs: Sequence[tuple[Any, str]]) -> None:
        """Append to several threads in one commit."""


class HeadSubject(Subject):
    """A store of threads that shows the newest threads of an owner without their messages."""

    note: ClassVar[str] = ""
    """What it does differently."""

    @abstractmethod
    async def fill(self, threads: int, texts: Sequence[str]) -> None:
        """Create so many threads of one owner, each with these messages."""

    @abstractmethod
    async def head(self, number: int) -> object:
        """Read what a thread has beside its messages."""

    @abstractmethod
    async def newest(self, count: int) -> Sequence[object]:
        """Read the heads of the threads that changed last."""

    @abstractmethod
    async def rename(self, number: int, title: str) -> None:
        """Change the title of a thread; when this returns, it is durable."""


class DocumentSubject(Subject):
    """A store of JSON values under keys, which are numbers here."""

    fills_quickly: ClassVar[bool] = True
    """It creates a million documents in a minute or two."""
    appends: ClassVar[bool] = True
    """It has threads, too."""

    @abstractmethod
    async def fill(self, count: int) -> None:
        """Create the documents of the first numbers."""

    @abstractmethod
    async def put(self, number: int, text: str) -> None:
        """Create or replace a document; when this returns, it is durable."""

    @abstractmethod
    async def load(self, number: int) -> object:
        """Read a document."""

    @abstractmethod
    async def page(self, after: int, count: int) -> Sequence[object]:
        """Read documents behind a number, in the order of their keys."""

    @abstractmethod
    async def say(self, text: str) -> None:
        """Append a message to a thread, to compare: when this returns, it is durable."""

    @abstractmethod
    async def connect(self) -> None:
        """Open the store that is there."""

    @abstractmethod
    async def disconnect(self) -> None:
        """Close it."""


def key_of(number: int) -> str:
    """Return the key of a document."""
    return f"{number:09d}"


class QueueSubject(Subject):
    """A queue: payloads are claimed, one by one, and acknowledged."""

    after_crash: ClassVar[str]
    """What happens to a claimed payload when its worker dies."""

    @abstractmethod
    async def fill(self, payloads: Sequence[str]) -> None:
        """Queue payloads, in batches."""

    @abstractmethod
    async def claim(self) -> Any:
        """Claim a payload; None if there is none."""

    @abstractmethod
    async def ack(self, job: Any) -> None:
        """Acknowledge a claimed payload."""

    @abstractmethod
    def payload(self, job: Any) -> str:
        """Return the payload of a job."""


class BlockingQueueSubject(QueueSubject):
    """A queue without asyncio: many workers are many operating system threads."""

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
    """A queue that claims several payloads at once."""

    @abstractmethod
    async def claim_several(self, limit: int) -> Sequence[Any]:
        """Claim up to so many payloads."""

    @abstractmethod
    async def ack_several(self, jobs: Sequence[Any]) -> None:
        """Acknowledge them."""


def sqlite_durability(database: Path, synchronous: str = "") -> str:
    """Return the journal mode of a database, and its `synchronous` setting or the default."""
    with closing(sqlite3.connect(database)) as connection:
        [journal] = connection.execute("pragma journal_mode").fetchone()
        [default] = connection.execute("pragma synchronous").fetchone()
    synced = synchronous or ("OFF", "NORMAL", "FULL", "EXTRA")[default]
    return f"{journal.upper()}, {synced}"
