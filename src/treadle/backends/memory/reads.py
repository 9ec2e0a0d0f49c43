"""What is read of a store that is kept in tables, whichever way they are reached."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from treadle.backends.memory import mailboxes, runs, threads
from treadle.backends.memory.tables import Tables
from treadle.core.codec import copied
from treadle.core.mailboxes import (
    EntryPage,
    EntryQuery,
    MailboxEntry,
    MailboxPage,
    MailboxQuery,
    MailboxState,
    MailboxStats,
)
from treadle.core.messages import MessagePage
from treadle.core.runs import RunPage, RunQuery, RunRecord
from treadle.core.threads import MessageQuery, ThreadDelta, ThreadHead, ThreadPage, ThreadQuery

T = TypeVar("T")


class Reads(ABC):
    """The reading methods of a backend (`treadle.backends.base`)."""

    @abstractmethod
    async def _read(self, call: Callable[[Tables], T]) -> T:
        """What `call` finds in the tables."""

    async def load_thread(self, thread_id: str) -> ThreadHead | None:
        """A thread as a whole, or None."""
        return copied(await self._read(lambda tables: threads.load(tables, thread_id)))

    async def list_messages(self, query: MessageQuery) -> MessagePage:
        """A page of a thread's messages."""
        return copied(await self._read(lambda tables: threads.list_messages(tables, query)))

    async def list_threads(self, query: ThreadQuery) -> ThreadPage:
        """A page of thread ids, in order."""
        return await self._read(lambda tables: threads.list_threads(tables, query))

    async def list_deltas(
        self, thread_id: str, after_version: int
    ) -> tuple[ThreadDelta, ...] | None:
        """What happened to a thread since `after_version`."""
        return copied(
            await self._read(lambda tables: threads.list_deltas(tables, thread_id, after_version))
        )

    async def load_run(self, run_id: str) -> RunRecord | None:
        """A run, or None."""
        return copied(await self._read(lambda tables: runs.load(tables, run_id)))

    async def list_runs(self, query: RunQuery) -> RunPage:
        """A page of runs, oldest first."""
        return copied(await self._read(lambda tables: runs.list_runs(tables, query)))

    async def find_active_run(self, thread_id: str) -> RunRecord | None:
        """The newest run of a thread that is not done, or None."""
        return copied(await self._read(lambda tables: runs.find_active(tables, thread_id)))

    async def load_entry(self, entry_id: str) -> MailboxEntry | None:
        """A mailbox entry, or None."""
        return copied(await self._read(lambda tables: mailboxes.load(tables, entry_id)))

    async def load_mailbox(self, mailbox_id: str) -> MailboxState | None:
        """A mailbox's state, or None."""
        return copied(await self._read(lambda tables: mailboxes.load_state(tables, mailbox_id)))

    async def list_mailboxes(self, query: MailboxQuery) -> MailboxPage:
        """A page of mailboxes' states, in the order of their ids."""
        return copied(await self._read(lambda tables: mailboxes.list_states(tables, query)))

    async def list_entries(self, query: EntryQuery) -> EntryPage:
        """A page of entries, oldest first."""
        return copied(await self._read(lambda tables: mailboxes.list_entries(tables, query)))

    async def count_entries(self, mailbox_id: str | None) -> MailboxStats:
        """How many entries there are in each status."""
        return await self._read(lambda tables: mailboxes.count(tables, mailbox_id))
