"""Erasing an owner: everything that belongs to one user, in steps that hold the store briefly."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import msgspec

from treadle.backends.base import Backend, LeavesTraces
from treadle.core.codec import Model, always_encoded, to_plain
from treadle.core.commands import Command, Commands, Receipt
from treadle.core.documents import DeleteDocument, DeleteDocuments
from treadle.core.limits import PAGE, Count
from treadle.core.mailbox_deletion import DeleteMailbox
from treadle.core.mailbox_queries import CountEntries, LoadMailbox, SearchEntries
from treadle.core.queries import Together
from treadle.core.run_queries import CountRuns, SearchRuns
from treadle.core.thread_commands import DeleteThread
from treadle.core.thread_summaries import ListThreadSummaries, ThreadSummary
from treadle.errors import CorruptRecord
from treadle.store.ownership import (
    RUNS_IN_A_COMMIT,
    all_collections,
    can_begin_a_key,
    count_documents,
    deletions_of,
    family_of,
    has_documents,
    note_unreadable_documents,
    pages_of_summaries,
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
    whose it is, so all damaged threads, runs and entries are named. `treadle doctor` says what is
    wrong with each. Repair or remove them, and erase again. A thread stays, too, if its mailbox or
    a thread below it was found and stays. A damaged run or entry is deleted by its id then, as its
    thread is gone. In a folder, a file of documents with a damaged line, whosever it is, keeps
    deleted ones until that is repaired. A dry run names threads and mailboxes only.
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
        self._stay: set[str] = set()
        """The threads that stay, because of such records."""

    async def run(self, resource_id: str) -> Erased:
        """Delete what belongs to an owner, and what that has left in files."""
        while page := await self._owned(resource_id):
            for root in page:
                if root.id not in self._stay:
                    await self._erase_family(await self._family(root.id, resource_id))
        # Last: a worker of the owner may write some until the mailbox that it holds is deleted.
        await self._erase_documents(resource_id)
        if isinstance(self._backend, LeavesTraces):
            self._note_unreadable(await self._backend.remove_traces())
        return self._erased()

    async def count(self, resource_id: str) -> Erased:
        """Count what `run` would delete, and delete nothing."""
        self._counts["documents"] += await count_documents(self._backend, resource_id)
        known: set[str] = set()
        query = ListThreadSummaries(resource_id=resource_id, limit=PAGE)
        async for page in pages_of_summaries(self._backend, query):
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

    async def _owned(self, resource_id: str) -> list[ThreadSummary]:
        """Some threads of the owner that are still to be deleted; none if that is done."""
        after: str | None = None
        while True:
            query = ListThreadSummaries(resource_id=resource_id, after=after, limit=PAGE)
            page = await self._backend.read(query)
            self._note_unreadable(page.unreadable)
            after = page.next_cursor
            found = [each for each in page.items if each.id not in self._stay]
            if found or after is None:
                return found

    async def _family(self, thread_id: str, resource_id: str) -> dict[str, str]:
        """The parents of the thread and of those below it that are nobody else's: `family_of`."""
        mine = (None, resource_id)
        return await family_of(
            self._backend,
            thread_id,
            lambda child: child.resource_id in mine,
            self._note_unreadable,
        )

    async def _count_thread(self, thread_id: str) -> None:
        entries, runs = await self._backend.read(
            Together(queries=(CountEntries(mailbox_id=thread_id), CountRuns(thread_id=thread_id)))
        )
        self._counts["threads"] += 1
        if await self._has_mailbox(thread_id):
            self._counts["mailboxes"] += 1
            self._counts["entries"] += sum(to_plain(entries).values())
        self._counts["runs"] += sum(to_plain(runs).values())
        if self._of_threads:
            self._counts["documents"] += await count_documents(self._backend, thread_id)
        elif await has_documents(self._backend, thread_id):
            self._left.append(thread_id)

    async def _has_mailbox(self, thread_id: str) -> bool:
        """Return whether there is a mailbox that can be read; one that cannot be is noted."""
        try:
            return await self._backend.read(LoadMailbox(mailbox_id=thread_id)) is not None
        except CorruptRecord as error:
            self._note_unreadable((error.where,))
            return False

    async def _erase_family(self, parents: Mapping[str, str]) -> None:
        """Delete threads, each before its parent; one stays if a thread below it does."""
        with_children: set[str] = set()
        for thread_id, parent in parents.items():
            is_left = thread_id in self._stay or not await self._erase_thread(
                thread_id, has_children=thread_id in with_children
            )
            if is_left:
                self._stay.add(thread_id)
                with_children.add(parent)

    async def _erase_thread(self, thread_id: str, *, has_children: bool) -> bool:
        """Delete a thread and all that has its id; return False if the thread itself stays.

        It is the last, as it leads to the others. What cannot be read is noted, and stays.
        """
        # First, so that a worker there loses its lease and writes nothing more.
        is_clear = await self._all_readable(self._erase_mailbox(thread_id))
        is_clear &= await self._all_readable(self._erase_runs(thread_id))
        if self._of_threads:
            await self._erase_documents(thread_id)
        elif await has_documents(self._backend, thread_id):
            self._left.append(thread_id)
        is_gone = (
            is_clear
            and not has_children
            and await self._all_readable(self._erase_itself(thread_id))
        )
        self._report(self._erased())
        return is_gone

    async def _all_readable(self, work: Awaitable[None]) -> bool:
        """Carry out a part of the erasure; return False if it met what cannot be read."""
        try:
            await work
        except CorruptRecord as error:
            self._note_unreadable((error.where,))
            return False
        return True

    async def _erase_itself(self, thread_id: str) -> None:
        self._counts["threads"] += await self._delete(DeleteThread(thread_id=thread_id))
        # A worker that has just lost its lease may have recorded the tokens of its run. From now
        # on it cannot: see `CountTokens.first`.
        await self._erase_runs(thread_id)

    async def _erase_mailbox(self, thread_id: str) -> None:
        if await self._backend.read(LoadMailbox(mailbox_id=thread_id)) is None:
            return
        self._counts["entries"] += await self._delete(DeleteMailbox(mailbox_id=thread_id))
        self._counts["mailboxes"] += 1
        left = await self._backend.read(SearchEntries(mailbox_id=thread_id, limit=PAGE))
        self._note_unreadable(left.unreadable)

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
            self._counts["documents"] += await self._delete_readable(*below, *own)
            await note_unreadable_documents(self._backend, names, owner, self._note_unreadable)

    async def _delete_readable(self, *deletions: Command[Any]) -> int:
        """Carry out deletions in one commit; if one meets what cannot be read, each by itself."""
        try:
            return await self._delete(*deletions)
        except CorruptRecord as error:
            if len(deletions) == 1:
                self._note_unreadable((error.where,))
                return 0
        return sum([await self._delete_readable(each) for each in deletions])

    async def _delete(self, *deletions: Command[Any]) -> int:
        """Carry out deletions in one commit, and return how many rows they deleted."""
        receipt = await self._commit(deletions)
        return sum(receipt.results)
