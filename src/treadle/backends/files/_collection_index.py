"""The keys of one collection in memory: where the line of each document is in the file."""

import codecs
import re

import msgspec

from treadle.backends.files._collection_files import Span
from treadle.backends.files._decoding import decode_model
from treadle.backends.files._saved_index import SavedIndex
from treadle.backends.model.sorted_keys import SortedKeys
from treadle.core.codec import encode
from treadle.core.document_keys import Key, check_key, join, split
from treadle.core.documents import Document
from treadle.errors import CorruptRecord, InvalidValue

_COMPACTED_FROM = 64 * 2**10
"""The size from which a file is replaced when more than half of it is dead."""


class _Line(msgspec.Struct):
    """The fields of a line that say which document it is about."""

    collection: str
    key: Key
    expires_at: int | None = None
    removed: bool = False


class _Removal(msgspec.Struct, frozen=True):
    """The line of a document that was removed."""

    collection: str
    key: Key
    removed: bool = True


_decode = msgspec.json.Decoder(_Line).decode
_TEXT = rb'"(?:[^"\\]|\\.)*"'
_BEGINNING = re.compile(
    rb'\{"collection":' + _TEXT + rb',"key":\[' + _TEXT + rb"(?:," + _TEXT + rb")*\]"
)
"""The beginning of the lines that Treadle writes."""


def line_of(collection: str, key: Key, document: Document | None) -> msgspec.Raw:
    """Return the line that a document has in its file; None is the line that removes it."""
    if document is None:
        return msgspec.Raw(msgspec.json.encode(_Removal(collection, key)))
    return msgspec.Raw(encode(document))


def read_line(collection: str, key: str, line: bytes, where: str) -> Document:
    """Return the document in a line.

    Args:
        collection: the name of its collection.
        key: its joined key.
        line: the line.
        where: names the file for errors.

    Raises:
        CorruptRecord: it cannot be read, or is another document's.
    """
    where = f"{where}, key {list(split(key))}"
    document = decode_model(Document, line, where)
    if document.collection != collection or join(document.key) != key:
        raise CorruptRecord(where, f"it holds {document.collection!r}, {list(document.key)}")
    try:
        check_key(document.key, "key")
    except InvalidValue as error:
        raise CorruptRecord(where, error.reason) from error
    return document


class CollectionIndex:
    """The documents in a file, by their joined keys.

    Args:
        name: the name of the collection.
        data: the content of its file.
        where: names the file for errors.
        saved: what an earlier index has found in the beginning of `data`.
    """

    def __init__(self, name: str, data: bytes, where: str, saved: SavedIndex | None = None) -> None:
        self._name = name
        self._where = where
        self.spans: dict[str, Span] = {}
        self.expiring: dict[str, int] = {}
        """When those documents expire that do."""
        self.damaged: dict[int, CorruptRecord] = {}
        """Why lines cannot be read, by the byte at which each begins."""
        self.lost: dict[str, CorruptRecord] = {}
        """Why documents cannot be read: their newest lines are damaged, and older ones are void."""
        self.size = 0
        """Where the next line begins."""
        self.is_written = True
        """False while the journal has lines that the file has not."""
        self.is_parsed = saved is None
        """False if some of it was taken from a saved index."""
        self.unsaved = 0
        """How many lines were read since it was saved."""
        self._live = 0
        self._keys: SortedKeys | None = None
        if saved is not None:
            self._restore(saved)
        elif data.startswith(codecs.BOM_UTF8):
            self.size = len(codecs.BOM_UTF8)
        if len(data) > self.size:
            self.add(data[self.size :].removesuffix(b"\n").split(b"\n"))

    def _restore(self, saved: SavedIndex) -> None:
        self.size = saved.size
        self.spans = dict(zip(saved.keys, zip(saved.starts, saved.sizes, strict=True), strict=True))
        self.expiring = saved.expiring
        self._live = sum(saved.sizes) + len(saved.sizes)

    @property
    def keys(self) -> SortedKeys:
        """The keys in their order."""
        if self._keys is None:
            self._keys = SortedKeys(self.spans)
        return self._keys

    @property
    def wants_compaction(self) -> bool:
        """True if more than half of a large file is dead."""
        return self.size > _COMPACTED_FROM and self._live < self.size / 2 and not self.damaged

    @property
    def is_compact(self) -> bool:
        """True if nothing of the file is dead."""
        return self._live == self.size

    def add(self, lines: "list[bytes] | tuple[msgspec.Raw, ...]") -> None:
        """Note lines that follow each other at the end of the file."""
        for line in lines:
            start, self.size = self.size, self.size + len(line) + 1
            if line:
                self._note(line, (start, len(line)))
        self.unsaved += len(lines)

    def examine(self, key: str, line: bytes) -> None:
        """Note as damaged a line that is in `spans` and cannot be read."""
        try:
            read_line(self._name, key, line, self._where)
        except CorruptRecord as error:
            self.damaged[self.spans[key][0]] = error
            self._drop(key)

    def _note(self, line: bytes | msgspec.Raw, span: Span) -> None:
        try:
            found = self._decode(line)
        except (ValueError, RecursionError) as error:
            self._note_damage(line, span, str(error))
            return
        key = join(found.key)
        self._drop(key)
        if not found.removed:
            self.spans[key] = span
            self._live += span[1] + 1
            if found.expires_at is not None:
                self.expiring[key] = found.expires_at
        if self._keys is not None:
            self._keys.note(key, present=not found.removed)

    def _note_damage(self, line: bytes | msgspec.Raw, span: Span, reason: str) -> None:
        damage = CorruptRecord(f"{self._where}, byte {span[0]}", reason)
        self.damaged[span[0]] = damage
        beginning = _BEGINNING.match(line)
        if beginning is None:
            return
        try:
            key = join(self._decode(beginning[0] + b"}").key)
        except ValueError:
            return
        self._drop(key)
        self.lost[key] = damage
        if self._keys is not None:
            self._keys.note(key, present=False)

    def _decode(self, line: bytes | msgspec.Raw) -> _Line:
        found = _decode(line)
        if found.collection != self._name:
            raise ValueError(f"it is of collection {found.collection!r}")
        return found

    def _drop(self, key: str) -> None:
        self.lost.pop(key, None)
        span = self.spans.pop(key, None)
        if span is not None:
            self._live -= span[1] + 1
            self.expiring.pop(key, None)
