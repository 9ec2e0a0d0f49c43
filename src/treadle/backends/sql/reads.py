"""What is read of a store in a database, whichever way its programs are carried out."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from treadle.backends.sql import mailboxes, runs, threads
from treadle.backends.sql.program import Program
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
    async def _read(self, program: Callable[[], Program[T]]) -> T:
        """What comes of a program that reads; `program` begins it, anew if need be."""

    async def load_thread(self, thread_id: str) -> ThreadHead | None:
        """A thread as a whole, or None."""
        return await self._read(lambda: threads.load_thread(thread_id))

    async def list_messages(self, query: MessageQuery) -> MessagePage:
        """A page of a thread's messages."""
        return await self._read(lambda: threads.list_messages(query))

    async def list_threads(self, query: ThreadQuery) -> ThreadPage:
        """A page of thread ids, in order."""
        return await self._read(lambda: threads.list_threads(query))

    async def list_deltas(
        self, thread_id: str, after_version: int
    ) -> tuple[ThreadDelta, ...] | None:
        """What happened to a thread since `after_version`."""
        return await self._read(lambda: threads.list_deltas(thread_id, after_version))

    async def load_run(self, run_id: str) -> RunRecord | None:
        """A run, or None."""
        return await self._read(lambda: runs.load_run(run_id))

    async def list_runs(self, query: RunQuery) -> RunPage:
        """A page of runs, oldest first."""
        return await self._read(lambda: runs.list_runs(query))

    async def find_active_run(self, thread_id: str) -> RunRecord | None:
        """The newest run of a thread that is not done, or None."""
        return await self._read(lambda: runs.find_active_run(thread_id))

    async def load_entry(self, entry_id: str) -> MailboxEntry | None:
        """A mailbox entry, or None."""
        return await self._read(lambda: mailboxes.load_entry(entry_id))

    async def load_mailbox(self, mailbox_id: str) -> MailboxState | None:
        """A mailbox's state, or None."""
        return await self._read(lambda: mailboxes.load_mailbox(mailbox_id))

    async def list_mailboxes(self, query: MailboxQuery) -> MailboxPage:
        """A page of mailboxes' states, in the order of their ids."""
        return await self._read(lambda: mailboxes.list_states(query))

    async def list_entries(self, query: EntryQuery) -> EntryPage:
        """A page of entries, oldest first."""
        return await self._read(lambda: mailboxes.list_entries(query))

    async def count_entries(self, mailbox_id: str | None) -> MailboxStats:
        """How many entries there are in each status."""
        return await self._read(lambda: mailboxes.count_entries(mailbox_id))
