"""The documents of the files backend, as a table: keys in memory, values in files."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from heapq import heapify, heappop
from itertools import islice
from typing import Any, NoReturn

import msgspec

from treadle.backends.files._collection_files import CollectionFiles, Lines, Whole, join_lines
from treadle.backends.files._collection_index import CollectionIndex, line_of, read_line
from treadle.backends.files.json_files import JsonFiles, fold
from treadle.backends.model.tables import Change, Put, RowTable
from treadle.core.document_keys import KeyRange, join, row_key, split, split_row_key
from treadle.core.documents import Document, has_expired
from treadle.core.pages import Order
from treadle.errors import AlreadyExists, CorruptRecord

_MOST_KEYS = 1_000_000
"""How many keys stay in memory, of all collections but the one that was used last."""
_READ_TOGETHER = 100
"""How many documents of a range are read at a time."""
_SAVED_FROM = 10_000
"""How many lines must have been read to make it worthwhile to save an index."""


class DocumentTable(RowTable[Document]):
    """Documents by their row keys.

    A batch changes rows in memory. `entries_of` makes the journal entries of its changes, and
    notes where their lines will be in the files; `end_group` forgets the rows.
    """

    def __init__(self, files: JsonFiles, put: Put[Document]) -> None:
        super().__init__(put)
        self._files: CollectionFiles = files.collections
        self._damage = files.damage
        self._indexes: OrderedDict[str, CollectionIndex] = OrderedDict()
        """The least recently used first."""
        self._changed: dict[str, Document | None] = {}
        """The rows that the current group has changed; None: removed."""

    # --- rows -------------------------------------------------------------------------------------

    def get(self, key: str, default: Any = None) -> Any:
        """Return the document, or `default` if there is none.

        Raises:
            CorruptRecord: it cannot be read.
        """
        if key in self._changed:
            document = self._changed[key]
            return default if document is None else document
        collection, text = split_row_key(key)
        index = self._index(collection)
        if text in index.lost:
            raise CorruptRecord(index.lost[text].where, index.lost[text].reason)
        span = index.spans.get(text)
        if span is None:
            return default
        (line,) = self._files.read_lines(collection, [span])
        return read_line(collection, text, line, self._files.where(collection))

    def __getitem__(self, key: str) -> Document:
        document: Document | None = self.get(key)
        if document is None:
            raise KeyError(key)
        return document

    def __setitem__(self, key: str, row: Document) -> None:
        self._changed[key] = row

    def __delitem__(self, key: str) -> None:
        self._changed[key] = None

    def _refuse_all(self) -> NoReturn:
        raise NotImplementedError("documents are found by their keys, and in ranges of them")

    __iter__ = __len__ = _refuse_all

    # --- finders ----------------------------------------------------------------------------------

    def find_range(self, keys: KeyRange, order: Order) -> Iterator[Document]:
        """Yield the documents in a range, except damaged ones."""
        index = self._index(keys.collection)
        found = index.keys.between(keys.after, keys.before, order)
        changed = self._changed_in(keys)
        if changed:
            found = iter(sorted({*found, *changed}, reverse=order == "desc"))
        while some := tuple(islice(found, _READ_TOGETHER)):
            yield from self._readable(keys.collection, index, some)

    def find_expired(self, before: int) -> Iterator[Document]:
        """Yield the documents that expired before a time, in `expiry_order`.

        Damaged ones are left out. The caller may stop early: what comes later is not read.
        """
        expired = [
            (time, name, key)
            for name in self.find_collections("")
            for key, time in self._expiring_in(name)
            if time < before
        ]
        heapify(expired)  # not sorted: a page is wanted, of what may be very many
        while expired:
            first = [heappop(expired)[1:] for _ in range(min(_READ_TOGETHER, len(expired)))]
            for document in self._readable_at(first):
                if has_expired(document, before):
                    yield document

    def _readable_at(self, places: Sequence[tuple[str, str]]) -> Iterator[Document]:
        """Yield the documents at some keys of collections, as `_readable` does."""
        keys_of: dict[str, list[str]] = {}
        for name, key in places:
            keys_of.setdefault(name, []).append(key)
        found = {
            (name, join(document.key)): document
            for name, keys in keys_of.items()
            for document in self._readable(name, self._index(name), keys)
        }
        return (found[place] for place in places if place in found)

    def _expiring_in(self, collection: str) -> Iterator[tuple[str, int]]:
        """Yield the keys of a collection whose documents expire, and when."""
        changed = {
            key: self._changed[row_key(collection, (key,))]
            for key in self._changed_in(KeyRange(collection))
        }
        for key, time in self._index(collection).expiring.items():
            if key not in changed:
                yield key, time
        for key, document in changed.items():
            if document is not None and document.expires_at is not None:
                yield key, document.expires_at

    def find_collections(self, first: str) -> Iterator[str]:
        """Yield the collections, `first` or later, that may have documents; not damaged ones."""
        for name in self._names():
            if name < first:
                continue
            try:
                self._index(name)
            except CorruptRecord as error:
                self._damage.note(error)
            else:
                yield name

    def _names(self) -> list[str]:
        changed = {split_row_key(key)[0] for key in self._changed}
        return sorted({*self._files.names(), *changed})

    def unreadable(self) -> Iterable[str]:
        """Return the damaged lines that are known, as errors name them."""
        found = [error for index in self._indexes.values() for error in index.damaged.values()]
        return sorted(error.where for error in found)

    def find_unreadable(self, keys: KeyRange) -> Iterable[str]:
        """Return the damaged lines that may be of documents in a range, as errors name them."""
        index = self._index(keys.collection)
        elsewhere = {error.where for key, error in index.lost.items() if not keys.has(key)}
        return sorted({error.where for error in index.damaged.values()} - elsewhere)

    def _changed_in(self, keys: KeyRange) -> list[str]:
        found: list[str] = []
        for row in self._changed:
            collection, text = split_row_key(row)
            if collection == keys.collection and keys.has(text):
                found.append(text)
        return found

    def _readable(
        self, collection: str, index: CollectionIndex, keys: Sequence[str]
    ) -> Iterator[Document]:
        """Yield the documents at some keys, in that order, except missing and damaged ones."""
        spans = {
            key: index.spans[key]
            for key in keys
            if key in index.spans and row_key(collection, (key,)) not in self._changed
        }
        try:
            stored = dict(
                zip(spans, self._files.read_lines(collection, spans.values()), strict=True)
            )
        except CorruptRecord as error:
            self._damage.note(error)
            return
        for key in keys:
            document = self._changed.get(row_key(collection, (key,)))
            if document is None and key in stored:
                document = self._decode_or_note(collection, index, key, stored[key])
            if document is not None:
                yield document

    def _decode_or_note(
        self, collection: str, index: CollectionIndex, key: str, line: bytes
    ) -> Document | None:
        try:
            return read_line(collection, key, line, self._files.where(collection))
        except CorruptRecord as error:
            self._damage.note(error)
            index.damaged[index.spans[key][0]] = index.lost[key] = error
            return None

    # --- files ------------------------------------------------------------------------------------

    def check_unused(self, key: str) -> None:
        """Do nothing: a file that another program puts there is read when it is needed."""

    def check_distinct(self, key: str) -> None:
        """Check that the file system can distinguish a collection from all others.

        Raises:
            AlreadyExists: one exists that differs only in case or in its Unicode form.
        """
        name, _ = split_row_key(key)
        for other in self._names():
            if other != name and fold(other) == fold(name):
                raise AlreadyExists("collection", other, "file names here do not tell them apart")

    def entries_of(self, changes: Iterable[Change]) -> Iterator[Lines | Whole]:
        """Yield the journal entries of a batch's changes of documents, one for each collection.

        Raises:
            CorruptRecord: the file of a collection cannot be written.
        """
        of_collection: dict[str, list[Change]] = {}
        for change in changes:
            of_collection.setdefault(split_row_key(change.key)[0], []).append(change)
        for collection, changed in of_collection.items():
            yield self._entry_of(collection, changed)

    def _entry_of(self, collection: str, changes: list[Change]) -> Lines | Whole:
        self._files.check_writable(collection)
        index = self._index(collection)
        lines: list[msgspec.Raw] = []
        for change in changes:
            document = change.after if isinstance(change.after, Document) else None
            lines.append(line_of(collection, split(split_row_key(change.key)[1]), document))
        start, was_written = index.size, index.is_written
        index.add(tuple(lines))
        index.is_written = False
        is_empty = not index.spans and not index.damaged
        if is_empty and index.is_parsed:
            return self._replaced(collection, [])
        if was_written and (is_empty or index.wants_compaction):
            # Parsed again: a saved index must not be the reason that a line is dropped.
            data = self._files.read(collection)[:start] + join_lines(lines)
            index = CollectionIndex(collection, data, self._files.where(collection))
            if not index.damaged:
                live = [msgspec.Raw(data[at : at + size]) for at, size in index.spans.values()]
                return self._replaced(collection, live)
            index.is_written = False
            self._indexes[collection] = index
        return Lines(collection, start, tuple(lines))

    def compacted(self, damaged: list[str]) -> Iterator[Whole]:
        """Yield the entries that leave out of each file what is dead.

        Carry out each before the next one is asked for: together they may not fit into memory.

        Args:
            damaged: gets the names of damaged lines; nothing is left out of their files.
        """
        for name in list(self._files.names()):
            try:
                live = self._live_lines(name, damaged)
            except CorruptRecord as error:
                damaged.append(error.where)
                continue
            if live is not None:
                yield self._replaced(name, live)

    def _live_lines(self, name: str, damaged: list[str]) -> list[msgspec.Raw] | None:
        """Return the lines that stay of a file; None if all do.

        Raises:
            CorruptRecord: the file cannot be read, or written.
        """
        data = self._files.read(name)
        index = CollectionIndex(name, data, self._files.where(name))
        damaged += [error.where for error in index.damaged.values()]
        if index.is_compact or index.damaged:
            return None
        self._files.check_writable(name)
        return [msgspec.Raw(data[at : at + size]) for at, size in index.spans.values()]

    def _replaced(self, collection: str, lines: list[msgspec.Raw]) -> Whole:
        index = CollectionIndex(collection, b"", self._files.where(collection))
        self._indexes[collection] = index
        index.add(tuple(lines))
        index.is_written = False
        return Whole(collection, tuple(lines))

    def follow(self, entry: Lines | Whole) -> None:
        """Apply an entry that another process has committed, if its collection is in memory."""
        index = self._indexes.get(entry.key)
        if index is None:
            return
        if isinstance(entry, Lines) and entry.start == index.size:
            index.add(entry.lines)
        else:
            del self._indexes[entry.key]  # it is read again when it is needed

    def end_group(self) -> None:
        """Forget the rows that are now in files, and the collections that were used long ago."""
        self._changed.clear()
        total = sum(len(index.spans) for index in self._indexes.values())
        while total > _MOST_KEYS and len(self._indexes) > 1:
            _, index = self._indexes.popitem(last=False)
            total -= len(index.spans)
        for index in self._indexes.values():
            index.is_written = True

    def save_indexes(self) -> None:
        """Save what was found in files, so that the next process need not parse them."""
        for name, index in self._indexes.items():
            if index.unsaved >= _SAVED_FROM and not index.damaged:
                self._files.write_index(name, index.size, index.spans, index.expiring)

    def _index(self, collection: str) -> CollectionIndex:
        index = self._indexes.get(collection)
        if index is None:
            where = self._files.where(collection)
            content = self._files.read(collection)
            saved = self._files.read_index(collection, content)
            index = CollectionIndex(collection, content, where, saved)
            for error in index.damaged.values():
                self._damage.note(error)
            self._indexes[collection] = index
        self._indexes.move_to_end(collection)
        return index
