"""What belongs to an owner, and below a thread: walks that read and write nothing."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, TypeAlias

import msgspec

from treadle.backends.base import Backend
from treadle.core.document_keys import check_key
from treadle.core.documents import DocumentPage, ListCollections, ListDocuments, LoadDocuments
from treadle.core.limits import PAGE
from treadle.core.queries import Query, Together
from treadle.core.run_commands import DeleteRun
from treadle.core.runs import RunRecord
from treadle.core.thread_summaries import ListThreadSummaries, ThreadSummary, ThreadSummaryPage
from treadle.errors import CorruptRecord, InvalidValue

NoteUnreadable: TypeAlias = Callable[[Iterable[str]], object]
"""Takes the names of records that a walk cannot read, and passes over."""

RUNS_IN_A_COMMIT = 100
"""Largest number of runs that are deleted in one commit."""

_ALL = 0
"""The time at which no document has expired."""


async def family_of(
    backend: Backend,
    thread_id: str,
    belongs: Callable[[ThreadSummary], bool],
    note_unreadable: NoteUnreadable,
) -> dict[str, str]:
    """The parents of a thread and of those below it that belong to it, each before its parent.

    So a thread without an owner is found again if a deletion stops before it is deleted. The thread
    itself counts as its own parent.
    """
    parents = {thread_id: thread_id}  # a thread may be below itself
    found = [thread_id]
    for parent in found:
        async for child in children_of(backend, parent, note_unreadable):
            if child.id not in parents and belongs(child):
                parents[child.id] = parent
                found.append(child.id)
    return dict(reversed(parents.items()))


def _pass_over(_names: Iterable[str]) -> None:
    """Say nothing of what cannot be read."""


async def children_of(
    backend: Backend, thread_id: str, note_unreadable: NoteUnreadable = _pass_over
) -> AsyncIterator[ThreadSummary]:
    """The threads right below a thread, of any owner."""
    query = ListThreadSummaries(parent_thread_id=thread_id, limit=PAGE)
    async for page in pages_of_summaries(backend, query):
        note_unreadable(page.unreadable)
        for child in page.items:
            yield child


async def pages_of_summaries(
    backend: Backend, query: ListThreadSummaries
) -> AsyncIterator[ThreadSummaryPage]:
    """The pages of a listing of threads, from the first one."""
    while True:
        page = await backend.read(query)
        yield page
        if page.next_cursor is None:
            return
        query = msgspec.structs.replace(query, after=page.next_cursor)


async def all_collections(backend: Backend) -> AsyncIterator[tuple[str, ...]]:
    """The names of all collections, in pages that are not empty."""
    after: str | None = None
    while True:
        page = await backend.read(ListCollections(after=after, limit=PAGE, now=_ALL))
        if page.items:
            yield page.items
        if not page.has_more:
            return
        after = page.next_cursor


async def has_documents(backend: Backend, thread_id: str) -> bool:
    """Return whether keys of documents begin with the id of a thread, or are it."""
    key = (thread_id,)
    async for names in all_collections(backend):
        queries: list[Query[Any]] = []
        for name in names:
            below = ListDocuments(collection=name, prefix=key, limit=1, values=False, now=_ALL)
            queries += [LoadDocuments(collection=name, keys=(key,), now=_ALL), below]
        try:
            answers = await backend.read(Together(queries=tuple(queries)))
        except CorruptRecord:  # a damaged one is there, too
            return True
        if any(any(a.items if isinstance(a, DocumentPage) else a) for a in answers):
            return True
    return False


async def note_unreadable_documents(
    backend: Backend, names: Sequence[str], owner: str, note_unreadable: NoteUnreadable
) -> None:
    """Note the documents below an owner that cannot be read, once all others are deleted."""
    queries: list[Query[Any]] = [
        ListDocuments(collection=name, prefix=(owner,), limit=PAGE, values=False, now=_ALL)
        for name in names
    ]
    for page in await backend.read(Together(queries=tuple(queries))):
        note_unreadable(page.unreadable)


async def count_documents(backend: Backend, owner: str) -> int:
    """The number of documents whose keys are an id, or begin with it."""
    if not can_begin_a_key(owner):
        return 0
    key = (owner,)
    count = 0
    async for names in all_collections(backend):
        for name in names:
            own = LoadDocuments(collection=name, keys=(key,), now=_ALL)
            try:
                count += sum(each is not None for each in await backend.read(own))
            except CorruptRecord:  # a damaged one is there, too
                count += 1
            count += await _count_below(backend, name, owner)
    return count


async def _count_below(backend: Backend, collection: str, owner: str) -> int:
    count = 0
    after: tuple[str, ...] | None = None
    while True:
        page = await backend.read(
            ListDocuments(
                collection=collection,
                prefix=(owner,),
                after=after,
                limit=PAGE,
                values=False,
                now=_ALL,
            )
        )
        count += len(page.items)
        after = page.next_cursor
        if not page.has_more:
            return count


def deletions_of(runs: Iterable[RunRecord]) -> tuple[DeleteRun, ...]:
    """The commands that delete runs."""
    return tuple(DeleteRun(run_id=run.run_id) for run in runs)


def can_begin_a_key(owner: str) -> bool:
    """Return False if no document can belong to an owner, whose id may be any text."""
    try:
        check_key((owner,), "resource_id")
    except InvalidValue:
        return False
    return True
