"""Erasing an owner: everything that belongs to one user, in steps that hold the store briefly."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec

from treadle.backends.base import Backend, LeavesTraces
from treadle.core.codec import Model, always_encoded, to_plain
from treadle.core.commands import Command, Commands, Receipt
from treadle.core.documents import DeleteDocument, DeleteDocuments
from treadle.core.endings import DeleteMailbox
from treadle.core.heads import ListHeads, ThreadSummary
from treadle.core.limits import PAGE, Count
from treadle.core.mailbox_queries import CountEntries, LoadMailbox
from treadle.core.queries import Together
from treadle.core.run_queries import CountRuns, SearchRuns
from treadle.core.thread_commands import DeleteThread
from treadle.store.ownership import (
    RUNS_IN_A_COMMIT,
    all_collections,
    can_begin_a_key,
    count_documents,
    deletions_of,
    family_of,
    has_documents,
    note_unreadable_documents,
    pages_of_heads,
)


class Erased(Model, frozen=True, kw_only=True):
    """How many rows of each kind an erasure has deleted."""

    threads: Count = always_encoded(0)
    runs: Count = always_encoded(0)
    mailboxes: Count = always_encoded(0)
    entries: Count = always_encoded(0)
    documents: Count = always_encoded(0)
    left: tuple[str, ...] = ()
    """The ids of deleted threads with which keys of documents begin.

    These documents stay, as each such id may be that of another owner. What you know to be of the
    thread, delete with `Documents.delete` and `delete_range`.
    """
    unreadable: tuple[str, ...] = ()
    """Records that cannot be read, such as `thread 't1'`, and stay, with what is below them.

    In a database, they are the owner's. In a folder, they may be: there, only a record itself says
    whose it is, so all damaged threads and runs are named. `treadle doctor` says what is wrong with
    each. Repair or remove them, and erase again; a run is deleted by its id then, as its thread is
    gone. A dry run names threads only.
    """


class Erasure:
    """One erasure; it can be stopped at any point and done again.

    Args:
        backend: the store's.
        commit: commits a batch.
        report: called after each thread with what has been deleted so far.
        of_threads: whether documents whose keys begin with the id of a thread are deleted, too.
    """

    def __init__(
        self,
        backend: Backend,
        commit: Callable[[Commands], Awaitable[Receipt]],
        report: Callable[[Erased], object],
        *,
        of_threads: bool,
    ) -> None:
        self._backend = backend
        self._commit = commit
        self._report = report
        self._of_threads = of_threads
        self._counts: Counter[str] = Counter()
        self._left: list[str] = []
        self._unreadable: dict[str, None] = {}
        """The names of records that cannot be read, each once."""

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

    async def count(self, resource_id: str) -> Erased:
        """Count what `run` would delete, and delete nothing."""
        self._counts["documents"] += await count_documents(self._backend, resource_id)
        known: set[str] = set()
        query = ListHeads(resource_id=resource_id, limit=PAGE)
        async for page in pages_of_heads(self._backend, query):
            self._note_unreadable(page.unreadable)
            for root in page.items:
                for thread_id in await self._family(root.id, resource_id):
                    if thread_id not in known:
                        known.add(thread_id)
                        await self._count_thread(thread_id)
        return self._erased()

    def _erased(self) -> Erased:
        names = {"left": self._left, "unreadable": list(self._unreadable)}
        return msgspec.convert({**self._counts, **names}, type=Erased)

    def _note_unreadable(self, names: Iterable[str]) -> None:
        self._unreadable |= dict.fromkeys(names)

    async def _owned(self, resource_id: str) -> tuple[ThreadSummary, ...]:
        page = await self._backend.read(ListHeads(resource_id=resource_id, limit=PAGE))
        self._note_unreadable(page.unreadable)
        return page.items

    async def _family(self, thread_id: str, resource_id: str) -> list[str]:
        """The thread and those below it that are nobody else's, each before its parent."""
        mine = (None, resource_id)
        return await family_of(
            self._backend,
            thread_id,
            lambda child: child.resource_id in mine,
            self._note_unreadable,
        )

    async def _count_thread(self, thread_id: str) -> None:
        mailbox, entries, runs = await self._backend.read(
            Together(
                queries=(
                    LoadMailbox(mailbox_id=thread_id),
                    CountEntries(mailbox_id=thread_id),
                    CountRuns(thread_id=thread_id),
                )
            )
        )
        self._counts["threads"] += 1
        self._counts["mailboxes"] += mailbox is not None
        if mailbox is not None:
            self._counts["entries"] += sum(to_plain(entries).values())
        self._counts["runs"] += sum(to_plain(runs).values())
        if self._of_threads:
            self._counts["documents"] += await count_documents(self._backend, thread_id)
        elif await has_documents(self._backend, thread_id):
            self._left.append(thread_id)

    async def _erase_thread(self, thread_id: str) -> None:
        """Delete a thread and all that has its id; the thread is the last, as it leads to them."""
        if await self._backend.read(LoadMailbox(mailbox_id=thread_id)) is not None:
            # First, so that a worker there loses its lease and writes nothing more.
            self._counts["entries"] += await self._delete(DeleteMailbox(mailbox_id=thread_id))
            self._counts["mailboxes"] += 1
        await self._erase_runs(thread_id)
        if self._of_threads:
            await self._erase_documents(thread_id)
        elif await has_documents(self._backend, thread_id):
            self._left.append(thread_id)
        self._counts["threads"] += await self._delete(DeleteThread(thread_id=thread_id))
        self._report(self._erased())

    async def _erase_runs(self, thread_id: str) -> None:
        query = SearchRuns(thread_id=thread_id, limit=RUNS_IN_A_COMMIT)
        while True:
            page = await self._backend.read(query)
            self._note_unreadable(page.unreadable)
            if not page.items:
                return
            self._counts["runs"] += await self._delete(*deletions_of(page.items))

    async def _erase_documents(self, owner: str) -> None:
        """Delete the documents whose keys are an id, or begin with it."""
        if not can_begin_a_key(owner):
            return
        key = (owner,)
        async for names in all_collections(self._backend):
            below = [DeleteDocuments(collection=each, prefix=key) for each in names]
            own = [DeleteDocument(collection=each, key=key) for each in names]
            self._counts["documents"] += await self._delete(*below, *own)
            await note_unreadable_documents(self._backend, names, owner, self._note_unreadable)

    async def _delete(self, *deletions: Command[Any]) -> int:
        """Carry out deletions in one commit, and return how many rows they deleted."""
        receipt = await self._commit(deletions)
        return sum(receipt.results)
