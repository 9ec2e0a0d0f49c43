"""The memory backend: the model that every other backend is held against."""

import asyncio
import time
from contextlib import suppress

from weft.backends.base import Capabilities
from weft.backends.memory import mailboxes, runs, threads
from weft.backends.memory.commit import apply_batch, apply_claim
from weft.backends.memory.tables import Tables
from weft.core.clock import Clock, system_clock
from weft.core.codec import copied
from weft.core.commands import Commands, Receipt
from weft.core.mailboxes import (
    ClaimRequest,
    EntryPage,
    EntryQuery,
    MailboxEntry,
    MailboxPage,
    MailboxQuery,
    MailboxState,
    MailboxStats,
)
from weft.core.messages import MessagePage
from weft.core.runs import RunPage, RunQuery, RunRecord
from weft.core.threads import MessageQuery, ThreadDelta, ThreadHead, ThreadPage, ThreadQuery
from weft.errors import StoreClosed


class MemoryBackend:
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
                await asyncio.wait_for(changed.wait(), pause)

    async def load_thread(self, thread_id: str) -> ThreadHead | None:
        """A thread as a whole, or None."""
        return copied(threads.load(self._rows, thread_id))

    async def list_messages(self, query: MessageQuery) -> MessagePage:
        """A page of a thread's messages."""
        return copied(threads.list_messages(self._rows, query))

    async def list_threads(self, query: ThreadQuery) -> ThreadPage:
        """A page of thread ids, in order."""
        return threads.list_threads(self._rows, query)

    async def list_deltas(
        self, thread_id: str, after_version: int
    ) -> tuple[ThreadDelta, ...] | None:
        """What happened to a thread since `after_version`."""
        return copied(threads.list_deltas(self._rows, thread_id, after_version))

    async def load_run(self, run_id: str) -> RunRecord | None:
        """A run, or None."""
        return copied(runs.load(self._rows, run_id))

    async def list_runs(self, query: RunQuery) -> RunPage:
        """A page of runs, oldest first."""
        return copied(runs.list_runs(self._rows, query))

    async def find_active_run(self, thread_id: str) -> RunRecord | None:
        """The newest run of a thread that is not done, or None."""
        return copied(runs.find_active(self._rows, thread_id))

    async def load_entry(self, entry_id: str) -> MailboxEntry | None:
        """A mailbox entry, or None."""
        return copied(mailboxes.load(self._rows, entry_id))

    async def load_mailbox(self, mailbox_id: str) -> MailboxState | None:
        """A mailbox's state, or None."""
        return copied(mailboxes.load_state(self._rows, mailbox_id))

    async def list_mailboxes(self, query: MailboxQuery) -> MailboxPage:
        """A page of mailboxes' states, in the order of their ids."""
        return copied(mailboxes.list_states(self._rows, query))

    async def list_entries(self, query: EntryQuery) -> EntryPage:
        """A page of entries, oldest first."""
        return copied(mailboxes.list_entries(self._rows, query))

    async def count_entries(self, mailbox_id: str | None) -> MailboxStats:
        """How many entries there are in each status."""
        return mailboxes.count(self._rows, mailbox_id)

    @property
    def _rows(self) -> Tables:
        if not self._is_open:
            raise StoreClosed
        return self.tables

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
