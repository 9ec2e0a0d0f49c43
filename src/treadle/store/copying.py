"""Copying a store into another one, of any kind.

Rows that are equal at both ends are not written, so an interrupted copy continues where it stopped,
and it can be repeated until both ends are equal. Versions, statuses, claims and generations are
kept. The deltas of a thread are not copied. A row that cannot be read fails the copy: nothing is
left out silently.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Any, TypeVar

import msgspec

from treadle.core.codec import Model
from treadle.core.commands import AnyCommand
from treadle.core.cursors import CursorPage
from treadle.core.document_keys import Key
from treadle.core.documents import Document
from treadle.core.limits import PAGE
from treadle.core.restoring import (
    RestoreDocument,
    RestoreEntry,
    RestoreMailbox,
    RestoreRun,
    RestoreThread,
)
from treadle.errors import CorruptRecord
from treadle.store.pages import CursorListing, every_by_cursor
from treadle.store.store import Store

ItemT = TypeVar("ItemT")

_ALL = 0
"""The time at which no document has expired."""
_BATCH_ROWS = 50
"""Largest number of rows in a batch."""


class Copied(Model, frozen=True, kw_only=True):
    """The result of a copy: how many rows there are, were written, and still differ."""

    threads: int
    runs: int
    mailboxes: int
    entries: int
    documents: int
    written: int
    differing: tuple[str, ...]
    """Rows that differ between both ends, such as `thread 't1'`: someone else writes there."""


class Progress(msgspec.Struct, frozen=True):
    """Progress of a copy, in rows read."""

    done: int
    total: int


async def copy_store(
    source: Store, target: Store, report: Callable[[Progress], object] = lambda _: None
) -> Copied:
    """Copy everything in `source` into `target`, and compare both ends.

    Rows that only `target` has stay as they are. If others write into `source` during the copy, the
    comparison finds their changes, and the next call copies them.

    Raises:
        CorruptRecord: a row of `source` cannot be read.
    """
    total = 2 * await _count(source)

    def tell(done: int) -> None:
        report(Progress(min(done, total), total))

    written = await _write_missing(source, target, tell)
    counts, differing = await _compare(source, target, lambda done: tell(total // 2 + done))
    tell(total)
    return Copied(
        threads=counts["thread"],
        runs=counts["run"],
        mailboxes=counts["mailbox"],
        entries=counts["entry"],
        documents=counts["document"],
        written=written,
        differing=tuple(differing),
    )


async def _write_missing(source: Store, target: Store, report: Callable[[int], object]) -> int:
    """Write each row that differs in the target, and return how many did.

    Args:
        source: the store that is copied.
        target: the store that is written.
        report: called after each batch with the number of rows read.
    """
    read = written = 0
    batch: list[AnyCommand] = []
    async for item in _items(source):
        read += 1
        if await item.load(target) != item.row:
            batch.append(item.command)
        if len(batch) == _BATCH_ROWS:
            await target.commit(tuple(batch))
            written += len(batch)
            batch.clear()
            report(read)
    await target.commit(tuple(batch))
    return written + len(batch)


async def _compare(
    source: Store, target: Store, report: Callable[[int], object]
) -> tuple[Counter[str], list[str]]:
    """Count the rows of the source by their kind, and name those that differ in the target.

    Args:
        source: the store that was copied.
        target: the store that was written.
        report: called now and then with the number of rows compared.
    """
    counts: Counter[str] = Counter()
    differing: list[str] = []
    async for item in _items(source):
        counts[item.kind] += 1
        if await item.load(target) != item.row:
            differing.append(f"{item.kind} {item.key!r}")
        if counts.total() % _BATCH_ROWS == 0:
            report(counts.total())
    return counts, differing


class _Item(msgspec.Struct, frozen=True):
    """A row of the source, and the command that puts it into the target."""

    kind: str
    key: str
    row: Any
    command: AnyCommand

    async def load(self, store: Store) -> Any:
        """Load the row from `store`; None if it does not exist there."""
        match self.kind:
            case "thread":
                return await store.threads.load(self.key)
            case "run":
                return await store.runs.load(self.key)
            case "mailbox":
                return await store.mailboxes.load(self.key)
            case "entry":
                return await store.mailboxes.load_entry(self.key)
            case _:
                document: Document = self.row
                return await store.documents.load(document.collection, document.key, now=_ALL)


async def _count(store: Store) -> int:
    threads = await store.threads.list(limit=1)
    runs = await store.runs.list(limit=1)
    states = await store.mailboxes.list(limit=1)
    entries = await store.mailboxes.list_entries(limit=1)
    total = threads.total + runs.total + states.total + entries.total
    async for _ in _documents(store, values=False):
        total += 1
    return total


async def _undamaged_page(
    listing: CursorListing[ItemT], after: str | None, limit: int
) -> CursorPage[ItemT]:
    """A page of a listing that leaves nothing out.

    Raises:
        CorruptRecord: a row cannot be read.
    """
    found = await listing(after=after, limit=limit)
    _refuse_damage(found.unreadable)
    return found


def _all_of(listing: CursorListing[ItemT]) -> AsyncIterator[ItemT]:
    return every_by_cursor(partial(_undamaged_page, listing))


def _refuse_damage(unreadable: Iterable[str]) -> None:
    for name in unreadable:
        raise CorruptRecord(
            name, "a copy would lose it", "repair or remove it; see `treadle doctor`"
        )


async def _documents(store: Store, *, values: bool = True) -> AsyncIterator[Document]:
    """Yield all documents, those that have expired included.

    Raises:
        CorruptRecord: one cannot be read.
    """
    after: str | None = None
    while True:
        collections = await store.documents.collections(after=after, limit=PAGE, now=_ALL)
        for collection in collections.items:
            async for document in _documents_of(store, collection, values=values):
                yield document
        after = collections.next_cursor
        if not collections.has_more:
            return


async def _documents_of(store: Store, collection: str, *, values: bool) -> AsyncIterator[Document]:
    after: Key | None = None
    while True:
        page = await store.documents.list(
            collection, after=after, limit=PAGE, values=values, now=_ALL
        )
        _refuse_damage(page.unreadable)
        for document in page.items:
            yield document
        after = page.next_cursor
        if not page.has_more:
            return


async def _items(store: Store) -> AsyncIterator[_Item]:
    """Yield all rows; a mailbox comes before its entries."""
    async for summary in _all_of(store.threads.list_summaries):
        head = await store.threads.load(summary.id)
        if head is not None:
            yield _Item("thread", summary.id, head, RestoreThread(head=head))
    async for run in _all_of(partial(store.runs.search, order="asc")):
        yield _Item("run", run.run_id, run, RestoreRun(run=run))
    async for each in _all_of(partial(store.mailboxes.list_summaries, counted=1)):
        state = each.state
        yield _Item("mailbox", state.mailbox_id, state, RestoreMailbox(mailbox=state))
    async for entry in _all_of(partial(store.mailboxes.search_entries, order="asc")):
        yield _Item("entry", entry.entry_id, entry, RestoreEntry(entry=entry))
    async for document in _documents(store):
        yield _Item("document", _name_of(document), document, RestoreDocument(document=document))


def _name_of(document: Document) -> str:
    return f"{document.collection}, {' / '.join(document.key)}"
