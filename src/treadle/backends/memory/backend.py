"""The memory backend: all rows in dictionaries, for tests and for data that may be lost."""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from treadle.backends._forks import require_process
from treadle.backends.base import Capabilities
from treadle.backends.model.apply import apply_batch, apply_claim
from treadle.backends.model.tables import Tables
from treadle.clock import Clock, new_token, system_clock
from treadle.core.claims import ClaimRequest
from treadle.core.codec import copied
from treadle.core.commands import Commands, Receipt
from treadle.core.mailboxes import MailboxEntry
from treadle.core.queries import Query
from treadle.errors import StoreClosed

T = TypeVar("T")


class MemoryBackend:
    """The model's tables and nothing else; the other backends are compared with it."""

    capabilities = Capabilities(durable=False, shared=False, notifies=False)

    def __init__(
        self, clock: Clock = system_clock, new_token: Callable[[], str] = new_token
    ) -> None:
        self._clock = clock
        self._new_token = new_token
        self.tables = Tables()
        self._is_open = False
        self._process = os.getpid()
        self._changed = asyncio.Event()

    async def open(self) -> None:
        """Accept calls."""
        self._process = os.getpid()
        self._is_open = True

    async def close(self) -> None:
        """Refuse further calls; the data is lost with the object."""
        self._is_open = False
        self._wake()

    async def commit(self, batch: Commands) -> Receipt:
        """Apply all commands of a checked batch, or none."""
        receipt, changes = apply_batch(self._open_tables(), batch, self._clock())
        if changes:
            self._wake()
        return Receipt(results=copied(receipt.results))

    async def claim(self, request: ClaimRequest) -> tuple[MailboxEntry, ...]:
        """Claim due entries, best first."""
        tables = self._open_tables()
        entries, _ = apply_claim(tables, request, self._clock(), self._new_token)
        return copied(entries)

    async def read(self, query: Query[T]) -> T:
        """Answer a checked query."""
        return copied(query.answer(self._open_tables()))

    async def wait(self, timeout_ms: int, mailbox_id: str | None = None) -> None:
        """Return once an entry is claimable, or after `timeout_ms`."""
        end = time.monotonic() + timeout_ms / 1000
        while (left := end - time.monotonic()) > 0:
            changed, now = self._changed, self._clock()
            due = self._open_tables().next_due(now, mailbox_id)
            if due is not None and due <= now:
                return
            pause = left if due is None else min(left, (due - now) / 1000)
            with suppress(TimeoutError):
                # not `wait_for`: before Python 3.12 it drops a cancellation that meets the event
                async with asyncio.timeout(pause):
                    await changed.wait()

    def _open_tables(self) -> Tables:
        if not self._is_open:
            raise StoreClosed
        # A child has a copy: nobody else would ever see what it writes.
        require_process(self._process)
        return self.tables

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
