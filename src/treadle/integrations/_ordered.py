"""Documents under ids that are listed in another order, such as by time.

Each has two documents: its value under its id, and a row of the order, whose key ends with a rank
and the id. Both are written in one commit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from treadle import Batch, CorruptRecord, Document, Json, NotFound, Store, VersionConflict
from treadle.integrations._document_pages import PAGE, Key, each_document, find_document

Order = Literal["asc", "desc"]


class OrderedPage(NamedTuple):
    """A page of values, with their ids."""

    items: list[tuple[str, Json]]
    has_more: bool


def rank_of(time: datetime) -> str:
    """Return a text that sorts as the time does; one without a zone is local time."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def _nothing(step: Batch) -> None:
    """Add no further writes to a commit."""


@dataclass(frozen=True)
class OrderedDocuments:
    """Documents of a collection whose ids are unique below `values`, listed below `order`."""

    store: Store
    collection: str
    values: Key
    order: Key

    async def load(self, id: str) -> Json:
        """Return a value.

        Raises:
            NotFound: there is none.
        """
        return _entry(await self._require(id)).value

    def create(self, step: Batch, id: str, rank: str, value: Json) -> None:
        """Add the creation to a batch, which fails with `AlreadyExists` if the id is taken."""
        row = (*self.order, rank, id)
        step.documents.create(self.collection, (*self.values, id), _as_json(row, value))
        step.documents.put(self.collection, row, None)

    async def save(
        self, id: str, rank: str, value: Json, also: Callable[[Batch], object] = _nothing
    ) -> None:
        """Create or replace a value, and commit what `also` adds; the last writer wins."""
        row = (*self.order, rank, id)
        while True:
            found = await self.store.documents.load(self.collection, (*self.values, id))
            try:
                async with self.store.batch() as step:
                    also(step)
                    step.documents.put(
                        self.collection,
                        (*self.values, id),
                        _as_json(row, value),
                        expected=0 if found is None else found.version,
                    )
                    old = None if found is None else _entry(found).row
                    if old is not None and old != row:
                        step.documents.delete(self.collection, old)
                    if old != row:
                        step.documents.put(self.collection, row, None)
            except VersionConflict:
                continue  # the row of the order may be another one now
            return

    async def delete(self, id: str, also: Callable[[Batch], object] = _nothing) -> bool:
        """Delete a value, and what `also` adds to the commit; return whether there was one."""
        while True:
            found = await self._find(id)
            if found is None:
                return False
            try:
                async with self.store.batch() as step:
                    step.documents.delete(self.collection, found.key, expected=found.version)
                    step.documents.delete(self.collection, _entry(found).row)
                    also(step)
            except VersionConflict:
                continue
            return True

    def delete_all(self, step: Batch) -> None:
        """Add the deletion of all values to a batch."""
        step.documents.delete_range(self.collection, prefix=self.values)
        step.documents.delete_range(self.collection, prefix=self.order)

    async def ids(self) -> list[str]:
        """Return all ids, in their order."""
        rows = each_document(self.store.documents, self.collection, self.order, values=False)
        return [row.key[-1] async for row in rows]

    async def every(self) -> list[tuple[str, Json]]:
        """Return all values with their ids, in their order."""
        return await self._values(await self.ids())

    async def page(self, *, after: str | None, limit: int, order: Order) -> OrderedPage:
        """Return a page of values. One that is deleted meanwhile makes room for the next.

        Args:
            after: the id before the page; None: it is the first page.
            limit: how many at most, at least 1.
            order: "asc" or "desc".

        Raises:
            NotFound: there is no value with the id `after`.
        """
        cursor = None if after is None else _entry(await self._require(after)).row
        found: list[tuple[str, Json]] = []
        has_more, limit = True, max(limit, 1)
        while has_more and len(found) < limit:
            page = await self.store.documents.list(
                self.collection,
                prefix=self.order,
                after=cursor if order == "asc" else None,
                before=cursor if order == "desc" else None,
                limit=min(limit - len(found), PAGE),
                order=order,
                values=False,
            )
            found += await self._values([document.key[-1] for document in page.items])
            cursor, has_more = page.next_cursor, page.has_more
        return OrderedPage(found, has_more)

    async def _values(self, ids: list[str]) -> list[tuple[str, Json]]:
        """Return values with their ids; what was deleted since the ids were read is left out."""
        found: list[Document | None] = []
        for start in range(0, len(ids), PAGE):
            keys = [(*self.values, id) for id in ids[start : start + PAGE]]
            found += await self.store.documents.load_many(self.collection, keys)
        return [(each.key[-1], _entry(each).value) for each in found if each is not None]

    async def _find(self, id: str) -> Document | None:
        return await find_document(self.store.documents, self.collection, (*self.values, id))

    async def _require(self, id: str) -> Document:
        found = await self._find(id)
        if found is None:
            raise NotFound("document", id)
        return found


class _Entry(NamedTuple):
    """The content of a document."""

    row: Key
    """The key of its row of the order."""
    value: Json


def _as_json(row: Key, value: Json) -> Json:
    return {"row": list(row), "value": value}


def _entry(document: Document) -> _Entry:
    match document.value:
        case {"row": list(row), "value": value} if all(isinstance(part, str) for part in row):
            return _Entry(tuple(row), value)
        case _:
            where = f"document {document.key!r} of collection {document.collection!r}"
            raise CorruptRecord(
                where, "it has no row of the order", "find out which program wrote it"
            )
