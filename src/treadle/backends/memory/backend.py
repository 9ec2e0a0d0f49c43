"""The memory backend: the model that every other backend is held against."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from treadle.backends.base import Capabilities
from treadle.backends.memory.commit import apply_batch, apply_claim
from treadle.backends.memory.reads import Reads
from treadle.backends.memory.tables import Tables
from treadle.core.clock import Clock, system_clock
from treadle.core.codec import copied
from treadle.core.commands import Commands, Receipt
from treadle.core.mailboxes import ClaimRequest, MailboxEntry
from treadle.errors import StoreClosed

T = TypeVar("T")


class MemoryBackend(Reads):
    """Dictionaries and the core's rules, for tests and for what may be forgotten."""

    capabilities = Capabilities(durable=False, shared=False, notifies=False)

    def __init__(self, clock: Clock = system_clock) -> None:
        self._clock = clock
        self.tables = Tables()
        self._is_open = False
        self._changed = asyncio.Event()

    async def open(self) -> None:
        """Let calls in."""
        self._is_open = True

    async def close(self) -> None:
        """Let no more calls in; the data goes with the object."""
        self._is_open = False
        self._wake()

    async def commit(self, batch: Commands) -> Receipt:
        """Apply all commands of a checked batch, or none."""
        receipt, changes = apply_batch(self._rows, batch, self._clock())
        if changes:
            self._wake()
        return Receipt(results=copied(receipt.results))

    async def claim(self, request: ClaimRequest) -> tuple[MailboxEntry, ...]:
        """Take due entries, best first."""
        entries, _ = apply_claim(self._rows, request, self._clock())
        return copied(entries)

    async def wait(self, timeout_ms: int, mailbox_id: str | None = None) -> None:
        """Return once something is claimable, or after `timeout_ms`."""
        end = time.monotonic() + timeout_ms / 1000
        while (left := end - time.monotonic()) > 0:
            changed, now = self._changed, self._clock()
            due = self._rows.next_due(now, mailbox_id)
            if due is not None and due <= now:
                return
            pause = left if due is None else min(left, (due - now) / 1000)
            with suppress(TimeoutError):
                # not `wait_for`: before Python 3.12 it drops a cancellation that meets the event
                async with asyncio.timeout(pause):
                    await changed.wait()

    async def _read(self, call: Callable[[Tables], T]) -> T:
        return call(self._rows)

    @property
    def _rows(self) -> Tables:
        if not self._is_open:
            raise StoreClosed
        return self.tables

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
