"""The sweep: deletes the entries that no conversation leads to."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from treadle import Document, Store, VersionConflict
from treadle.integrations._document_pages import each_document
from treadle.integrations.pydantic_ai._layout import (
    COLLECTION,
    ENTRIES,
    RECORDS,
    Place,
    Pointer,
    entry_key,
    read_pointer,
    read_record,
)

_TOGETHER = 100
"""Entries of a commit."""


class _Entry(NamedTuple):
    """An entry as the sweep found it."""

    document: Document
    """The document that says where it is."""
    pointer: Pointer


async def sweep(store: Store) -> int:
    """Delete the entries that no conversation leads to; return how many.

    A caller that begins a conversation, or a branch, at an entry raises the version of its
    document, and each deletion is guarded by the version that was read before the records were. An
    entry goes before those that it follows. So what is pointed at meanwhile stays, with all before
    it.
    """
    deleted = 0
    while True:
        unreached = await _find_unreached(store)
        try:
            for start in range(0, len(unreached), _TOGETHER):
                deleted += await _delete(store, unreached[start : start + _TOGETHER])
        except VersionConflict:
            continue  # an entry is pointed at, or another sweep runs: look again
        return deleted


async def _find_unreached(store: Store) -> list[_Entry]:
    """Return the entries that no record leads to, each before those that it follows."""
    entries = {
        each.key[-1]: _Entry(each, read_pointer(each))
        async for each in each_document(store.documents, COLLECTION, ENTRIES)
    }
    reached = _Reached(store, entries)
    async for document in each_document(store.documents, COLLECTION, RECORDS):
        record = read_record(document)
        for entry_id in (record.head_id, *record.branches):
            if entry_id is not None:
                await reached.mark(entry_id)
    depths = _line_depths(entries.values())
    unreached = [each for each in entries.values() if each.pointer.place not in reached]
    unreached.sort(
        key=lambda each: depths[each.pointer.place.line] + each.pointer.place.number, reverse=True
    )
    return unreached


class _Reached:
    """The places that records lead to."""

    def __init__(self, store: Store, entries: Mapping[str, _Entry]) -> None:
        self._store = store
        self._entries = entries
        self._last: dict[str, int] = {}
        """The last number that is reached in each line."""

    def __contains__(self, place: Place) -> bool:
        return place.number <= self._last.get(place.line, -1)

    async def mark(self, entry_id: str) -> None:
        """Note that an entry is reached, with all that it follows."""
        pointer = await self._find(entry_id)
        place = None if pointer is None else pointer.place
        while place is not None and place not in self:
            self._last[place.line] = place.number
            first = await self._find(place.line)  # a line has the id of its first entry
            place = None if first is None else first.origin

    async def _find(self, entry_id: str) -> Pointer | None:
        if entry_id in self._entries:
            return self._entries[entry_id].pointer
        # It may have been written since the entries were listed.
        document = await self._store.documents.load(COLLECTION, entry_key(entry_id))
        return None if document is None else read_pointer(document)


def _line_depths(entries: Collection[_Entry]) -> dict[str, int]:
    """Return how many entries are before each line."""
    pointers = [each.pointer for each in entries]
    origins = {each.place.line: each.origin for each in pointers if each.origin is not None}
    depths: dict[str, int] = {}
    for pointer in pointers:
        path = [pointer.place.line]
        while (origin := origins.get(path[-1])) is not None:
            if origin.line in depths or origin.line in path:  # known, or damaged
                break
            path.append(origin.line)
        for each in reversed(path):
            before = origins.get(each)
            depths[each] = 0 if before is None else depths.get(before.line, 0) + before.number + 1
    return depths


async def _delete(store: Store, entries: Sequence[_Entry]) -> int:
    async with store.batch() as step:
        for document, pointer in entries:
            step.documents.delete(COLLECTION, document.key, expected=document.version)
            step.documents.delete(COLLECTION, pointer.place.key)
    return len(entries)
