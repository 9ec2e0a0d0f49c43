"""A store that is opened to read only: every write is refused before anything happens."""

from typing import NoReturn, Protocol, TypeVar

from treadle.backends.base import Capabilities, Listener, LiveListener, ReleasesUnclosed
from treadle.core.claims import ClaimRequest
from treadle.core.commands import Commands, Receipt
from treadle.core.hints import Hint
from treadle.core.id_ranges import IdRanges
from treadle.core.mailboxes import MailboxEntry
from treadle.core.queries import Query
from treadle.errors import ReadOnlyStore

T = TypeVar("T")


class Reading(Protocol):
    """What a backend needs in order to be read; see `treadle.backends.base.Backend`."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def wait(
        self, timeout_ms: int, mailbox_id: str | None = None, among: IdRanges | None = None
    ) -> None: ...

    async def read(self, query: Query[T]) -> T: ...

    def listen(self, wanted: frozenset[Hint] | None = None) -> Listener: ...

    async def follow_live(self, thread_id: str) -> LiveListener: ...


class ReadOnlyBackend:
    """A backend that refuses all writes.

    Args:
        backend: the backend, opened so that it writes nothing.
        where: the store, as errors name it.
    """

    def __init__(self, backend: Reading, where: str) -> None:
        self._backend = backend
        self.where = where

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of the backend."""
        return self._backend.capabilities

    async def open(self) -> None:
        """Open the store, which must exist; nothing is created, and no lock is left behind."""
        await self._backend.open()

    async def close(self) -> None:
        """Finish the calls in progress and release all resources."""
        await self._backend.close()

    def release(self) -> None:
        """Begin to close, and do not wait for it."""
        if isinstance(self._backend, ReleasesUnclosed):
            self._backend.release()

    async def commit(self, batch: Commands) -> Receipt:
        """Refuse to write."""
        self._refuse()

    async def commit_in(self, connection: object, batch: Commands) -> Receipt:
        """Refuse to write."""
        self._refuse()

    async def claim(self, request: ClaimRequest) -> tuple[MailboxEntry, ...]:
        """Refuse to write: a claim is one."""
        self._refuse()

    async def wait(
        self, timeout_ms: int, mailbox_id: str | None = None, among: IdRanges | None = None
    ) -> None:
        """Return once an entry may be claimable, or after `timeout_ms`."""
        await self._backend.wait(timeout_ms, mailbox_id, among)

    async def read(self, query: Query[T]) -> T:
        """Answer a checked query from one snapshot."""
        return await self._backend.read(query)

    def listen(self, wanted: frozenset[Hint] | None = None) -> Listener:
        """Begin to listen for changes."""
        return self._backend.listen(wanted)

    def publish(self, thread_id: str, value: bytes) -> None:
        """Refuse to publish: others would see it."""
        self._refuse()

    async def follow_live(self, thread_id: str) -> LiveListener:
        """Begin to follow the live values of a thread."""
        return await self._backend.follow_live(thread_id)

    def _refuse(self) -> NoReturn:
        raise ReadOnlyStore(self.where)
