"""Retention: threads that have not changed for long are deleted, unless they are active."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import cast

import msgspec

from treadle.backends.base import Backend
from treadle.core.codec import Model, always_encoded
from treadle.core.commands import Commands, Receipt
from treadle.core.limits import LARGEST_TIME, PAGE, Count
from treadle.core.mailbox_queries import CountEntries, LoadMailbox, SearchEntries
from treadle.core.queries import Together
from treadle.core.run_queries import FindActiveRun, FoundRuns, SearchRuns
from treadle.core.runs import is_active
from treadle.core.thread_purge import PurgeThread, last_written
from treadle.core.thread_summaries import ListThreadSummaries, LoadThreadSummary, ThreadSummary
from treadle.errors import CorruptRecord, InvalidValue, shorten
from treadle.store.ownership import (
    RUNS_IN_A_COMMIT,
    children_of,
    deletions_of,
    pages_of_summaries,
)


class PurgedThreads(Model, frozen=True, kw_only=True):
    """What a purge of threads has deleted, and how many old threads stay."""

    threads: Count = always_encoded(0)
    runs: Count = always_encoded(0)
    mailboxes: Count = always_encoded(0)
    entries: Count = always_encoded(0)
    active: Count = always_encoded(0)
    """How many old threads stay, because they or a thread below them are active, or may be."""
    unreadable: tuple[str, ...] = ()
    """Records that cannot be read, such as `thread 't1'`: they stay, and the threads they are of.

    They may be active. In a folder, only the record itself says which thread it belongs to, so
    then no old thread goes. `treadle doctor` says what is wrong with each.
    Repair or remove them, and purge again.
    """


def check_purge(changed_before: object, resource_id: object, report: object) -> None:
    """Check the arguments of a purge of threads.

    Raises:
        InvalidValue: one of them has another type, or `changed_before` is not a time.
    """
    is_time = isinstance(changed_before, int) and not isinstance(changed_before, bool)
    if not is_time or not 0 <= cast("int", changed_before) <= LARGEST_TIME:
        reason = f"it must be a time in milliseconds, not {shorten(changed_before)}"
        raise InvalidValue("purge_threads.changed_before", reason)
    if not isinstance(resource_id, str | None):
        reason = f"it must be a text, not {shorten(resource_id)}"
        raise InvalidValue("purge_threads.resource_id", reason)
    if not callable(report):
        reason = f"it must be a function, not {shorten(report)}"
        raise InvalidValue("purge_threads.report", reason)


class ThreadPurge:
    """One purge of threads; it can be stopped at any point and done again.

    Args:
        backend: the store's.
        commit: commits a batch.
        report: called after each thread with what has been done so far.
        changed_before: only threads whose last change is before this time, in unix milliseconds.
        resource_id: only threads of this owner.
    """

    def __init__(
        self,
        backend: Backend,
        commit: Callable[[Commands], Awaitable[Receipt]],
        report: Callable[[PurgedThreads], object],
        *,
        changed_before: int,
        resource_id: str | None,
    ) -> None:
        self._backend = backend
        self._commit = commit
        self._report = report
        self._changed_before = changed_before
        self._resource_id = resource_id
        self._counts: Counter[str] = Counter()
        self._stay: set[str] = set()
        """The old threads that stay."""
        self._unreadable: dict[str, None] = {}
        """The names of records that cannot be read, each once."""

    async def run(self) -> PurgedThreads:
        """Delete the old threads, each after its descendants."""
        async for thread in self._old_threads():
            if thread.id not in self._stay:
                await self._purge_with_descendants(thread)
        return self._purged()

    def _purged(self) -> PurgedThreads:
        found = {"active": len(self._stay), "unreadable": list(self._unreadable)}
        return msgspec.convert({**self._counts, **found}, type=PurgedThreads)

    def _note_unreadable(self, names: Iterable[str]) -> bool:
        """Note records that cannot be read; return whether there are any."""
        known = dict.fromkeys(names)
        self._unreadable |= known
        return bool(known)

    async def _old_threads(self) -> AsyncIterator[ThreadSummary]:
        query = ListThreadSummaries(by="updated_at", limit=PAGE, resource_id=self._resource_id)
        async for page in pages_of_summaries(self._backend, query):
            self._note_unreadable(page.unreadable)
            for thread in page.items:
                if (thread.metadata.updated_at or 0) >= self._changed_before:
                    return
                yield thread

    async def _purge_with_descendants(self, root: ThreadSummary) -> None:
        """Delete a thread after its descendants; it stays if one of them does."""
        found, parents = [root], {root.id: root.id}  # a thread may be below itself
        parents_that_stay: set[str] = set()
        ring: dict[str, tuple[str, ...]] = {}
        for parent in found:
            unreadable: list[str] = []  # one of these may be a child
            async for child in children_of(self._backend, parent.id, unreadable.extend):
                if child.id in parents:  # only the root, which is in a ring
                    ring[parent.id] = (child.id,)
                    continue
                parents[child.id] = parent.id
                found.append(child)
            if self._note_unreadable(unreadable):
                parents_that_stay.add(parent.id)
        for thread in reversed(found):
            if not self._may_go(thread):
                parents_that_stay.add(parents[thread.id])
                continue
            above = ring.get(thread.id, ())
            if thread.id in parents_that_stay or not await self._purge_readable(thread.id, above):
                self._stay.add(thread.id)
                parents_that_stay.add(parents[thread.id])
            self._report(self._purged())

    def _may_go(self, thread: ThreadSummary) -> bool:
        is_theirs = self._resource_id is None or thread.resource_id in (None, self._resource_id)
        written = last_written(thread.metadata)
        return is_theirs and written is not None and written < self._changed_before

    async def _purge_readable(self, thread_id: str, above: tuple[str, ...]) -> bool:
        """Do what `_purge` does; a thread with a record that cannot be read stays."""
        try:
            return await self._purge(thread_id, above)
        except CorruptRecord as error:
            self._note_unreadable((error.where,))
            return False

    async def _purge(self, thread_id: str, above: tuple[str, ...]) -> bool:
        """Delete a thread with its runs and its mailbox; return False if it stays.

        A thread `above` it may be right below it, too: that one goes later.

        Raises:
            CorruptRecord: the thread or its mailbox cannot be read.
        """
        runs = SearchRuns(thread_id=thread_id, limit=RUNS_IN_A_COMMIT)
        mailbox, waiting, some, active, found = await self._backend.read(
            Together(
                queries=(
                    LoadMailbox(mailbox_id=thread_id),
                    CountEntries(mailbox_id=thread_id),
                    SearchEntries(mailbox_id=thread_id, limit=1),
                    FindActiveRun(thread_id=thread_id),
                    runs,
                )
            )
        )
        if waiting.queued or waiting.claimed or self._note_unreadable(some.unreadable):
            return False
        if active is not None or self._may_have_active(found):
            return False
        while len(found.items) == RUNS_IN_A_COMMIT:
            receipt = await self._commit(deletions_of(found.items))
            self._counts["runs"] += sum(receipt.results)
            found = await self._backend.read(runs)
            if self._may_have_active(found):
                return False
        # Not after the thread, which leads to them.
        purge = PurgeThread(
            thread_id=thread_id,
            changed_before=self._changed_before,
            ignoring=above,
            runs=tuple(run.run_id for run in found.items),
        )
        [entries] = (await self._commit((purge,))).results
        if entries is None:
            return await self._is_gone(thread_id)
        self._counts["runs"] += len(found.items)
        self._counts["threads"] += 1
        self._counts["entries"] += entries
        self._counts["mailboxes"] += mailbox is not None
        return True

    def _may_have_active(self, found: FoundRuns) -> bool:
        """Return whether a run of a page is active, or cannot be read."""
        return self._note_unreadable(found.unreadable) or any(map(is_active, found.items))

    async def _is_gone(self, thread_id: str) -> bool:
        """Return whether somebody else has deleted a thread that was not purged.

        Otherwise somebody has written to it meanwhile, or put a thread below it, or its mailbox
        has what waits, or may wait.
        """
        entries = SearchEntries(mailbox_id=thread_id, limit=PAGE)
        left, thread = await self._backend.read(
            Together(queries=(entries, LoadThreadSummary(thread_id=thread_id)))
        )
        self._note_unreadable(left.unreadable)
        return thread is None
