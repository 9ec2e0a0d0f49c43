"""Lists the checkpoints of one thread, or of all."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from treadle.integrations._document_pages import PAGE
from treadle.integrations.langgraph._layout import (
    ROOT,
    Root,
    checkpoint_key,
    collection_of,
    read_value,
)
from treadle.integrations.langgraph._reading import Found, Loaded, MissingValueError, Reader
from treadle.queries import LoadDocuments

_DOCUMENTS = 8
"""A checkpoint and its writes are about so many documents; only a guess for the first page."""


class Listing:
    """A listing that is read page by page."""

    def __init__(
        self,
        prefix: str,
        *,
        thread_id: str | None,
        space: str | None,
        checkpoint_id: str | None,
        before: str | None,
        filter: Mapping[str, Any],
        limit: int | None,
    ) -> None:
        self._prefix = prefix
        self._thread_id = thread_id
        self._space = space
        self._checkpoint_id = checkpoint_id
        self._before = before
        self._filter = filter
        self._left = limit
        self._pages: AsyncGenerator[tuple[str, list[Found]]] | None = None

    async def next_page(self, reader: Reader) -> list[tuple[str, Loaded]]:
        """Return the next checkpoints, each with the id of its thread; none at the end."""
        if self._pages is None:
            self._pages = self._each_page(reader)
        while self._left is None or self._left > 0:
            page = await anext(self._pages, None)
            if page is None:
                break
            thread_id, found = page
            wanted = [each for each in found if self._is_wanted(reader, each)][: self._left]
            loaded = await _load(reader, collection_of(self._prefix, thread_id), wanted)
            if loaded:
                if self._left is not None:
                    self._left -= len(loaded)
                return [(thread_id, each) for each in loaded]
        await self._pages.aclose()
        return []

    def _is_wanted(self, reader: Reader, found: Found) -> bool:
        if not self._filter:
            return True
        metadata = reader.codec.load_sealed(found.head.metadata)
        return all(metadata.get(key) == value for key, value in self._filter.items())

    async def _each_page(self, reader: Reader) -> AsyncGenerator[tuple[str, list[Found]]]:
        async for thread_id in self._threads(reader):
            collection = collection_of(self._prefix, thread_id)
            async for space in self._spaces(reader, collection):
                async for page in self._pages_of(reader, collection, space):
                    yield thread_id, page

    async def _pages_of(
        self, reader: Reader, collection: str, space: str
    ) -> AsyncIterator[list[Found]]:
        before = checkpoint_key(space, self._before) if self._before else None
        if self._checkpoint_id:
            _, found = await reader.find(collection, space, self._checkpoint_id)
            if found is not None and (before is None or found.key < before):
                yield [found]
            return
        first = PAGE if self._left is None or self._filter else self._left * _DOCUMENTS
        async for page in reader.pages(collection, space, before, min(PAGE, first)):
            yield page

    async def _spaces(self, reader: Reader, collection: str) -> AsyncIterator[str]:
        if self._space is not None:
            yield self._space
            return
        async for space in reader.spaces(collection):
            yield space

    async def _threads(self, reader: Reader) -> AsyncIterator[str]:
        if self._thread_id is not None:
            yield self._thread_id
            return
        after: str | None = None
        while True:
            page = await reader.store.documents.collections(
                prefix=f"{self._prefix}.", after=after, limit=PAGE
            )
            queries = [LoadDocuments(collection=name, keys=(ROOT,)) for name in page.items]
            for (root,) in await reader.store.read(*queries) if queries else ():
                if root is None:
                    continue
                thread_id = read_value(root, Root).thread_id
                # A saver whose prefix begins with this one may have a thread with the same id.
                if collection_of(self._prefix, thread_id) == root.collection:
                    yield thread_id
            if not page.has_more:
                return
            after = page.next_cursor


async def _load(reader: Reader, collection: str, wanted: list[Found]) -> list[Loaded]:
    try:
        return await reader.load_values(collection, wanted)
    except MissingValueError:
        # Some were deleted since they were found: each is read again, or left out.
        loaded = [await reader.load(collection, each.space, each.id) for each in wanted]
        return [each for each in loaded if each is not None]
