"""Erasing an owner: everything that belongs to one user, in steps that hold the store briefly."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec

from treadle.backends.base import Backend, LeavesTraces
from treadle.core.codec import Model, always_encoded
from treadle.core.commands import Command, Commands, Receipt
from treadle.core.documents import DeleteDocuments, ListCollections
from treadle.core.endings import DeleteMailbox
from treadle.core.heads import ListHeads, ThreadSummary
from treadle.core.keys import check_key
from treadle.core.limits import PAGE, Count
from treadle.core.mailbox_queries import LoadMailbox
from treadle.core.run_queries import SearchRuns
from treadle.core.runs import DeleteRun
from treadle.core.thread_commands import DeleteThread
from treadle.errors import InvalidValue

_ALL = 0
"""The time at which no document has expired."""
_RUNS = 100
"""Largest number of runs that are deleted in one step."""


class Erased(Model, frozen=True, kw_only=True):
    """How many rows of each kind an erasure has deleted."""

    threads: Count = always_encoded(0)
    runs: Count = always_encoded(0)
    mailboxes: Count = always_encoded(0)
    entries: Count = always_encoded(0)
    documents: Count = always_encoded(0)


class Erasure:
    """One erasure; it can be stopped at any point and done again.

    Args:
        backend: the store's.
        commit: commits a batch.
        report: called after each thread with what has been deleted so far.
    """

    def __init__(
        self,
        backend: Backend,
        commit: Callable[[Commands], Awaitable[Receipt]],
        report: Callable[[Erased], object],
    ) -> None:
        self._backend = backend
        self._commit = commit
        self._report = report
        self._counts: Counter[str] = Counter()

    async def run(self, resource_id: str) -> Erased:
        """Delete what belongs to an owner, and what that has left in files."""
        await self._erase_documents(resource_id)
        while page := await self._owned(resource_id):
            for root in page:
                for thread_id in await self._family(root.id, resource_id):
                    await self._erase_thread(thread_id)
        if isinstance(self._backend, LeavesTraces):
            await self._backend.remove_traces()
        return self._erased()

    def _erased(self) -> Erased:
        return msgspec.convert(self._counts, type=Erased)

    async def _owned(self, resource_id: str) -> tuple[ThreadSummary, ...]:
        query = ListHeads(resource_id=resource_id, limit=PAGE)
        return (await self._backend.read(query)).items

    async def _family(self, thread_id: str, resource_id: str) -> list[str]:
        """The thread and those below it that are nobody else's, each before its parent.

        So a thread without an owner is found again if the erasure stops before it is deleted.
        """
        found = [thread_id]
        known = {thread_id}  # a thread may be below itself
        for parent in found:
            async for child in self._children(parent):
                if child.resource_id in (None, resource_id) and child.id not in known:
                    known.add(child.id)
                    found.append(child.id)
        return found[::-1]

    async def _children(self, thread_id: str) -> AsyncIterator[ThreadSummary]:
        after: str | None = None
        while True:
            query = ListHeads(parent_thread_id=thread_id, after=after, limit=PAGE)
            page = await self._backend.read(query)
            for child in page.items:
                yield child
            after = page.next_cursor
            if after is None:
                return

    async def _erase_thread(self, thread_id: str) -> None:
        """Delete a thread and all that has its id; the thread is the last, as it leads to them."""
        if await self._backend.read(LoadMailbox(mailbox_id=thread_id)) is not None:
            # First, so that a worker there loses its lease and writes nothing more.
            self._counts["entries"] += await self._delete(DeleteMailbox(mailbox_id=thread_id))
            self._counts["mailboxes"] += 1
        query = SearchRuns(thread_id=thread_id, limit=_RUNS)
        while runs := (await self._backend.read(query)).items:
            steps = [DeleteRun(run_id=run.run_id) for run in runs]
            self._counts["runs"] += await self._delete(*steps)
        await self._erase_documents(thread_id)
        self._counts["threads"] += await self._delete(DeleteThread(thread_id=thread_id))
        self._report(self._erased())

    async def _erase_documents(self, owner: str) -> None:
        """Delete the documents whose keys begin with a user's or a thread's id."""
        if not _can_begin_a_key(owner):
            return
        after: str | None = None
        while True:
            query = ListCollections(after=after, limit=PAGE, now=_ALL)
            page = await self._backend.read(query)
            steps = [DeleteDocuments(collection=each, prefix=(owner,)) for each in page.items]
            if steps:
                self._counts["documents"] += await self._delete(*steps)
            after = page.next_cursor
            if after is None:
                return

    async def _delete(self, *steps: Command[Any]) -> int:
        """Carry out deletions in one commit, and return how many rows they deleted."""
        receipt = await self._commit(steps)
        return sum(receipt.results)


def _can_begin_a_key(owner: str) -> bool:
    """Return False if no document can belong to an owner, whose id may be any text."""
    try:
        check_key((owner,), "resource_id")
    except InvalidValue:
        return False
    return True
