"""Documents: JSON values under keys, in collections; whatever an agent knows."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Annotated, Protocol

import msgspec
from msgspec import Meta

from treadle.core.codec import Json, Model, always_encoded
from treadle.core.commands import TimedCommand, name_of
from treadle.core.document_keys import (
    Key,
    KeyRange,
    check_key,
    check_range,
    check_text,
    join,
    key_range,
    row_key,
)
from treadle.core.ids import CollectionId
from treadle.core.limits import (
    LARGEST_TIME,
    Bound,
    Time,
    Version,
    clamp_page,
    later,
    next_number,
)
from treadle.core.pages import Order
from treadle.core.queries import TimedQuery
from treadle.core.read_set import ReadSet
from treadle.core.rows import Table
from treadle.errors import AlreadyExists, InvalidValue, NotFound, VersionConflict, shorten

KEYS = 1_000
"""Most keys of one `LoadDocuments`."""

_LAST_TIME = 2**42
"""A time after the year 2100 is a mistake, and would use up the versions."""
_LAST_VERSION = 2**53
"""New versions are smaller, so that every reader of JSON keeps them exactly."""


class Document(Model, frozen=True, kw_only=True):
    """A JSON value under a key."""

    collection: CollectionId
    key: Key
    value: Json = always_encoded(None)
    """None in a page that was asked for without values."""
    version: Annotated[int, Meta(ge=1, le=LARGEST_TIME)]
    """Larger with each write, and not used again for the key; compare it, do not count with it."""
    created_at: Time
    updated_at: Time
    expires_at: Time | None = None
    """From this time on the document counts as absent; `PurgeDocuments` removes it."""


class Stored(Model, frozen=True, kw_only=True):
    """The result of a write to a document, which is now at `version`."""

    version: Version
    created: bool
    """True if there was none before."""


class DocumentPage(Model, frozen=True, kw_only=True):
    """A page of documents, in the order of their keys; there is no total."""

    items: tuple[Document, ...] = always_encoded(())
    has_more: bool = always_encoded(False)
    next_cursor: Key | None = None
    """The key of the last document: `after` (or `before`, in descending order) of the next page."""
    unreadable: tuple[str, ...] = ()
    """Damaged documents that were left out, by name. A store in a folder names all that may be in
    the range, whatever the page."""


class CollectionPage(Model, frozen=True, kw_only=True):
    """A page of the names of collections, in order; there is no total."""

    items: tuple[str, ...] = always_encoded(())
    has_more: bool = always_encoded(False)
    next_cursor: str | None = None
    """The last name: `after` of the next page."""


class DocumentRows(Protocol):
    """The rows that commands and queries about documents need."""

    @property
    def documents(self) -> Table[Document]:
        """All documents by `row_key`, those that have expired included."""
        ...

    def find_documents(self, keys: KeyRange, order: Order = "asc") -> Iterable[Document]:
        """The documents in a range, in the order of their keys, those that have expired included.

        The caller may stop early: documents after that point cost nothing.
        """
        ...

    def find_collections(self, first: str) -> Iterable[str]:
        """The names of the collections, `first` or later, that may have documents; in order."""
        ...

    def unreadable_documents(self, keys: KeyRange) -> Iterable[str]:
        """The documents that cannot be read and may be in a range, as far as they are known."""
        ...

    def find_expired(self, before: int, limit: int) -> Iterable[Document]:
        """The first `limit` documents that expired before a time, in `expiry_order`."""
        ...

    def new_version(self, least: int) -> int:
        """A version that is at least `least` and larger than all that were given out before."""
        ...


# --- rules ----------------------------------------------------------------------------------------


def is_live(document: Document, now: int) -> bool:
    """Return whether the document has not expired at `now`."""
    return document.expires_at is None or document.expires_at > now


def has_expired(document: Document, before: int) -> bool:
    """Return whether the document expired before a time."""
    return document.expires_at is not None and document.expires_at < before


def expiry_order(document: Document) -> tuple[int, str, str]:
    """Sort documents by when they expire, those that do so first."""
    return document.expires_at or 0, document.collection, join(document.key)


def find_live(rows: DocumentRows, collection: str, key: Key, now: int) -> Document | None:
    """Return the document, unless it has expired."""
    found = rows.documents.get(row_key(collection, key))
    return found if found is not None and is_live(found, now) else None


def _check_version(collection: str, key: Key, expected: int | None, found: Document | None) -> None:
    actual = 0 if found is None else found.version
    if expected is not None and expected != actual:
        raise VersionConflict("document", (collection, *key), expected, actual)


def _put(rows: DocumentRows, new: "_NewDocument", found: Document | None, now: int) -> Stored:
    key = row_key(new.collection, new.key)
    document = Document(
        collection=new.collection,
        key=new.key,
        value=new.value,
        version=_next_version(rows, rows.documents.get(key), now),
        created_at=now if found is None else found.created_at,
        updated_at=now,
        expires_at=_expiry(new.expires_at, new.expires_in_ms, now),
    )
    rows.documents.put(key, document)
    return Stored(version=document.version, created=found is None)


def _check_expiry(name: str, expires_at: int | None, expires_in_ms: int | None) -> None:
    if expires_at is not None and expires_in_ms is not None:
        raise InvalidValue(f"{name}.expires_in_ms", "give it or expires_at, not both")


def _expiry(expires_at: int | None, expires_in_ms: int | None, now: int) -> int | None:
    return expires_at if expires_in_ms is None else later(now, expires_in_ms)


def _next_version(rows: DocumentRows, before: Document | None, now: int) -> int:
    """Return the version of a write at `now`; a document that has expired still counts as `before`.

    The time makes it larger than all versions of a document that was removed before, in any
    process.
    """
    least = now * 1_000 if now < _LAST_TIME else 0
    if before is not None:
        following = next_number(before.version, "the version of the document")
        if following > _LAST_VERSION:  # a copy brought it: other documents need not rise with it
            return following
        least = max(least, following)
    return rows.new_version(least)


# --- commands -------------------------------------------------------------------------------------


class _NewDocument(TimedCommand[Stored], frozen=True, kw_only=True):
    """A document to be stored."""

    collection: CollectionId
    key: Key
    value: Json
    expires_at: Time | None = None
    expires_in_ms: Time | None = None
    """Instead of `expires_at`: how many milliseconds after the commit."""

    def check(self) -> None:
        """Refuse a key that cannot be stored, and two times of expiry."""
        name = name_of(type(self))
        check_key(self.key, f"{name}.key")
        _check_expiry(name, self.expires_at, self.expires_in_ms)

    def touches(self, read_set: ReadSet) -> None:
        """The document."""
        read_set.documents.add(row_key(self.collection, self.key))


class PutDocument(_NewDocument, frozen=True, kw_only=True):
    """Creates or replaces a document. Result: `Stored`.

    Fails with `VersionConflict` if it is not at version `expected`; with 0, if it exists.
    """

    expected: Version | None = None

    def apply(self, rows: DocumentRows, now: int) -> Stored:
        """Put the document; the time of its creation stays."""
        found = find_live(rows, self.collection, self.key, now)
        _check_version(self.collection, self.key, self.expected, found)
        return _put(rows, self, found, now)


class CreateDocument(_NewDocument, frozen=True, kw_only=True):
    """Creates a document. Result: `Stored`. Fails with `AlreadyExists`."""

    def apply(self, rows: DocumentRows, now: int) -> Stored:
        """Put the new document."""
        if find_live(rows, self.collection, self.key, now) is not None:
            where = shorten((self.collection, *self.key))
            raise AlreadyExists("document", where, "use another key, or put")
        return _put(rows, self, None, now)


class EnsureDocument(_NewDocument, frozen=True, kw_only=True):
    """Creates a document if it does not exist. Result: `Stored`, with its current version."""

    def apply(self, rows: DocumentRows, now: int) -> Stored:
        """Put the document, unless it exists; an existing document stays as it is."""
        found = find_live(rows, self.collection, self.key, now)
        if found is not None:
            return Stored(version=found.version, created=False)
        return _put(rows, self, None, now)


class DeleteDocument(TimedCommand[bool], frozen=True, kw_only=True):
    """Deletes a document. Result: whether it existed.

    Fails with `VersionConflict` if it is not at version `expected`.
    """

    collection: CollectionId
    key: Key
    expected: Version | None = None

    def check(self) -> None:
        """Refuse a key that cannot be stored."""
        check_key(self.key, "deleteDocument.key")

    def touches(self, read_set: ReadSet) -> None:
        """The document."""
        read_set.documents.add(row_key(self.collection, self.key))

    def apply(self, rows: DocumentRows, now: int) -> bool:
        """Remove the document."""
        found = find_live(rows, self.collection, self.key, now)
        _check_version(self.collection, self.key, self.expected, found)
        rows.documents.remove(row_key(self.collection, self.key))  # even one that has expired
        return found is not None


class DeleteDocuments(TimedCommand[int], frozen=True, kw_only=True):
    """Deletes the documents below `prefix` between two keys, which stay. Result: how many."""

    collection: CollectionId
    prefix: Key = ()
    after: Key | None = None
    before: Key | None = None

    def check(self) -> None:
        """Refuse keys that cannot be stored."""
        check_range("deleteDocuments", self.prefix, self.after, self.before)

    def touches(self, read_set: ReadSet) -> None:
        """All documents of the range."""
        keys = self._range
        read_set.document_ranges.add((keys.collection, keys.after, keys.before))

    def apply(self, rows: DocumentRows, now: int) -> int:
        """Remove the documents; those that have expired go, too, and are not counted."""
        found = list(rows.find_documents(self._range))
        for document in found:
            rows.documents.remove(row_key(document.collection, document.key))
        return sum(is_live(document, now) for document in found)

    @property
    def _range(self) -> KeyRange:
        return key_range(self.collection, self.prefix, self.after, self.before)


class CheckDocument(TimedCommand[None], frozen=True, kw_only=True):
    """Guards a batch. Result: None.

    Fails with `VersionConflict` if the document is not at version `expected` (with 0, if it
    exists). Without `expected`, fails with `NotFound` if it does not exist.
    """

    collection: CollectionId
    key: Key
    expected: Version | None = None

    def check(self) -> None:
        """Refuse a key that cannot be stored."""
        check_key(self.key, "checkDocument.key")

    def touches(self, read_set: ReadSet) -> None:
        """The document."""
        read_set.documents.add(row_key(self.collection, self.key))
        read_set.absent_documents.add(row_key(self.collection, self.key))

    def apply(self, rows: DocumentRows, now: int) -> None:
        """Compare the version."""
        found = find_live(rows, self.collection, self.key, now)
        if self.expected is None and found is None:
            raise NotFound("document", shorten((self.collection, *self.key)))
        _check_version(self.collection, self.key, self.expected, found)


class TouchDocument(TimedCommand[bool], frozen=True, kw_only=True):
    """Moves the time at which a document expires; its version stays. Result: whether it exists."""

    collection: CollectionId
    key: Key
    expires_at: Time | None = None
    expires_in_ms: Time | None = None
    """Instead of `expires_at`: how many milliseconds after the commit."""

    def check(self) -> None:
        """Refuse a key that cannot be stored, and two times of expiry."""
        check_key(self.key, "touchDocument.key")
        _check_expiry("touchDocument", self.expires_at, self.expires_in_ms)

    def touches(self, read_set: ReadSet) -> None:
        """The document."""
        read_set.documents.add(row_key(self.collection, self.key))

    def apply(self, rows: DocumentRows, now: int) -> bool:
        """Put the document with its new time."""
        found = find_live(rows, self.collection, self.key, now)
        if found is None:
            return False
        expires_at = _expiry(self.expires_at, self.expires_in_ms, now)
        document = msgspec.structs.replace(found, expires_at=expires_at)
        rows.documents.put(row_key(self.collection, self.key), document)
        return True


# --- queries --------------------------------------------------------------------------------------


class LoadDocuments(TimedQuery[tuple[Document | None, ...]], frozen=True, kw_only=True):
    """The documents at some keys, in the order of the keys; None where there is none."""

    collection: CollectionId
    keys: tuple[Key, ...]

    def check(self, where: str) -> None:
        """Refuse too many keys, and keys that cannot be stored."""
        if len(self.keys) > KEYS:
            raise InvalidValue(f"{where}.keys", f"at most {KEYS} at a time, not {len(self.keys)}")
        for position, key in enumerate(self.keys):
            check_key(key, f"{where}.keys[{position}]")

    def answer(self, rows: DocumentRows, now: int) -> tuple[Document | None, ...]:
        """Look each of them up."""
        return tuple(find_live(rows, self.collection, key, now) for key in self.keys)


class ListDocuments(TimedQuery[DocumentPage], frozen=True, kw_only=True):
    """A page of the documents below `prefix` between two keys, both excluded."""

    collection: CollectionId
    prefix: Key = ()
    after: Key | None = None
    before: Key | None = None
    limit: Bound = 50
    order: Order = "asc"
    values: bool = True

    def check(self, where: str) -> None:
        """Refuse keys that cannot be stored."""
        check_range(where, self.prefix, self.after, self.before)

    @property
    def range(self) -> KeyRange:
        """The keys that are asked for."""
        return key_range(self.collection, self.prefix, self.after, self.before)

    def answer(self, rows: DocumentRows, now: int) -> DocumentPage:
        """Take the first ones of the range."""
        found = rows.find_documents(self.range, self.order)
        limit = clamp_page(self.limit)
        live = list(islice((each for each in found if is_live(each, now)), limit + 1))
        page = live[:limit]
        if not self.values:
            page = [msgspec.structs.replace(document, value=None) for document in page]
        return DocumentPage(
            items=tuple(page),
            has_more=len(live) > limit,
            next_cursor=page[-1].key if page else None,
            unreadable=tuple(rows.unreadable_documents(self.range)),
        )


class ListCollections(TimedQuery[CollectionPage], frozen=True, kw_only=True):
    """A page of the collections that have a document and whose names begin with `prefix`."""

    prefix: str = ""
    after: str | None = None
    limit: Bound = 50

    def check(self, where: str) -> None:
        """Refuse texts that no name of a collection can contain."""
        check_text(f"{where}.prefix", self.prefix)
        check_text(f"{where}.after", self.after or "")

    def answer(self, rows: DocumentRows, now: int) -> CollectionPage:
        """Take the first names."""
        limit = clamp_page(self.limit)
        return collection_page(tuple(islice(self._live(rows, now), limit + 1)), limit)

    def _live(self, rows: DocumentRows, now: int) -> Iterator[str]:
        first = self.prefix if self.after is None else max(self.prefix, self.after + "\0")
        for name in rows.find_collections(first):
            if not name.startswith(self.prefix):
                return
            keys = KeyRange(name)
            is_used = any(is_live(document, now) for document in rows.find_documents(keys))
            if is_used or any(rows.unreadable_documents(keys)):
                yield name


def collection_page(names: tuple[str, ...], limit: int) -> CollectionPage:
    """Return the page of the first `limit` names; a further name says that there is more."""
    page = names[:limit]
    return CollectionPage(
        items=page, has_more=len(names) > limit, next_cursor=page[-1] if page else None
    )
