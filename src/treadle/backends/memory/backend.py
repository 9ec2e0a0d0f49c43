"""The memory backend: all rows in dictionaries, for tests and for data that may be lost."""

import os
from collections.abc import Callable, Sequence
from threading import Lock
from typing import TypeVar

import msgspec

from treadle.backends._forks import require_process
from treadle.backends._hints import Hints, hints_of
from treadle.backends._waiting import Waiting
from treadle.backends._watch import SELDOM, Watch
from treadle.backends.base import Capabilities, Listener, LiveListener
from treadle.backends.live import LiveValues
from treadle.backends.model.apply import apply_batch, apply_claim
from treadle.backends.model.tables import Change, Tables
from treadle.clock import Clock, new_token, system_clock
from treadle.core.claims import ClaimRequest
from treadle.core.codec import copied
from treadle.core.commands import Commands, Receipt
from treadle.core.hints import Hint
from treadle.core.id_ranges import IdRanges, Ids
from treadle.core.mailboxes import MailboxEntry
from treadle.core.queries import Query, answer_query
from treadle.errors import StoreClosed

T = TypeVar("T")


class MemoryBackend:
    """The model's tables and nothing else; the other backends are compared with it."""

    capabilities = Capabilities(durable=False, shared=False, notifies=False)
    where = "memory:"

    def __init__(
        self, clock: Clock = system_clock, new_token: Callable[[], str] = new_token
    ) -> None:
        self._clock = clock
        self._new_token = new_token
        self.tables = Tables()
        self._changing = Lock()
        """Held while tables are used: each event loop of the store does so on its own thread."""
        self._is_open = False
        self._process = os.getpid()
        self._changes = 0
        self._watch = Watch(lambda: self._changes, SELDOM)
        self._waiting = Waiting(self._watch, self._times_left)
        self._hints = Hints()
        self._live = LiveValues()

    async def open(self) -> None:
        """Accept calls."""
        self._process = os.getpid()
        self._changing = Lock()  # a fork may have copied one that another thread held
        self._is_open = True

    async def close(self) -> None:
        """Refuse further calls; the data is lost with the object."""
        self._is_open = False
        self._wake()
        self._hints.close()
        self._live.close()

    async def commit(self, batch: Commands) -> Receipt:
        """Apply all commands of a checked batch, or none."""
        self._require_open()
        with self._changing:
            receipt, changes = apply_batch(self.tables, batch, self._clock())
        self._tell(changes)
        return Receipt(results=copied(receipt.results))

    async def claim(self, request: ClaimRequest) -> tuple[MailboxEntry, ...]:
        """Claim due entries, best first."""
        self._require_open()
        with self._changing:
            entries, changes = apply_claim(self.tables, request, self._clock(), self._new_token)
        self._tell(changes)
        return copied(entries)

    async def read(self, query: Query[T]) -> T:
        """Answer a checked query."""
        self._require_open()
        with self._changing:
            answer = answer_query(query, self.tables, self._clock())
        return copied(answer)

    async def wait(
        self, timeout_ms: int, mailbox_id: str | None = None, among: IdRanges | None = None
    ) -> None:
        """Return once an entry is claimable, or after `timeout_ms`."""
        self._require_open()
        await self._waiting.until_due(timeout_ms, among or mailbox_id)

    def listen(self, wanted: frozenset[Hint] | None = None) -> Listener:
        """Begin to listen for changes."""
        self._require_open()
        return self._hints.listen(wanted)

    def publish(self, thread_id: str, value: bytes) -> None:
        """Give a live value to those who follow its thread."""
        self._require_open()
        self._live.give([(thread_id, msgspec.Raw(value))])

    async def follow_live(self, thread_id: str) -> LiveListener:
        """Begin to follow the live values of a thread."""
        self._require_open()
        return self._live.follow(thread_id)

    async def _times_left(self, mailboxes: Sequence[Ids]) -> list[int | None]:
        self._require_open()
        now = self._clock()
        with self._changing:
            times = [self.tables.next_due(now, each) for each in mailboxes]
        return [None if due is None else due - now for due in times]

    def _require_open(self) -> None:
        if not self._is_open:
            raise StoreClosed
        # A child has a copy: nobody else would ever see what it writes.
        require_process(self._process)

    def _tell(self, changes: list[Change]) -> None:
        if changes:
            self._wake()
            self._hints.give(hints_of(changes))

    def _wake(self) -> None:
        with self._changing:
            self._changes += 1
        self._watch.wake()
