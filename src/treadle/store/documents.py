"""Documents, as a user of a store sees them."""

from collections.abc import Iterable
from typing import Any, TypeAlias

from msgspec import UNSET, UnsetType

from treadle.backends.base import Backend
from treadle.core.codec import Json
from treadle.core.document_expiry import DocumentName, ListExpired, PurgeDocuments
from treadle.core.document_keys import Key
from treadle.core.documents import (
    KEYS,
    CheckDocument,
    CollectionPage,
    CreateDocument,
    DeleteDocument,
    DeleteDocuments,
    Document,
    DocumentPage,
    EnsureDocument,
    ListCollections,
    ListDocuments,
    LoadDocuments,
    PutDocument,
    Stored,
    TouchDocument,
)
from treadle.core.pages import Order
from treadle.core.queries import check_query
from treadle.errors import InvalidValue, shorten
from treadle.store.writes import NewWrite, Write

AnyKey: TypeAlias = str | Key
"""A key: a tuple of 1 to 16 texts, or one text."""


class DocumentWrites:
    """Writes to documents: awaited on the store, collected in a batch.

    A collection is named by an id and need not be created. A key is a text, or a tuple of 1 to 16
    texts, of at most 1,024 bytes together, without control characters.
    """

    def __init__(self, write: NewWrite) -> None:
        self._write = write

    def put(
        self,
        collection: str,
        key: AnyKey,
        value: Json,
        *,
        expected: int | None = None,
        expires_at: int | None = None,
        expires_in_ms: int | None = None,
        now: int | None = None,
    ) -> Write[Stored]:
        """Create or replace a document.

        Args:
            collection: the name of the collection.
            key: the key.
            value: any JSON value.
            expected: the version that the document must have; 0: it must not exist.
            expires_at: from this time on (unix milliseconds) it counts as absent. Without it and
                `expires_in_ms` the document stays, even where the replaced one had a time.
            expires_in_ms: instead of `expires_at`, how many milliseconds after the commit, by the
                store's clock.
            now: the present.

        Raises:
            VersionConflict: the document is not at version `expected`.
            InvalidId, InvalidValue: it cannot be stored; the message says where.
        """
        command = PutDocument(
            collection=collection,
            key=_parts(key),
            value=value,
            expected=expected,
            expires_at=expires_at,
            expires_in_ms=expires_in_ms,
            now=now,
        )
        return self._write(command)

    def create(
        self,
        collection: str,
        key: AnyKey,
        value: Json,
        *,
        expires_at: int | None = None,
        expires_in_ms: int | None = None,
        now: int | None = None,
    ) -> Write[Stored]:
        """Create a document; see `put`.

        Raises:
            AlreadyExists: there is one.
        """
        command = CreateDocument(
            collection=collection,
            key=_parts(key),
            value=value,
            expires_at=expires_at,
            expires_in_ms=expires_in_ms,
            now=now,
        )
        return self._write(command)

    def ensure(
        self,
        collection: str,
        key: AnyKey,
        value: Json,
        *,
        expires_at: int | None = None,
        expires_in_ms: int | None = None,
        now: int | None = None,
    ) -> Write[Stored]:
        """Create a document unless it exists; see `put`. The first writer wins."""
        command = EnsureDocument(
            collection=collection,
            key=_parts(key),
            value=value,
            expires_at=expires_at,
            expires_in_ms=expires_in_ms,
            now=now,
        )
        return self._write(command)

    def delete(
        self,
        collection: str,
        key: AnyKey,
        *,
        expected: int | None = None,
        now: int | None = None,
    ) -> Write[bool]:
        """Delete a document. Returns whether it existed.

        Raises:
            VersionConflict: the document is not at version `expected`.
        """
        command = DeleteDocument(collection=collection, key=_parts(key), expected=expected, now=now)
        return self._write(command)

    def delete_range(
        self,
        collection: str,
        *,
        prefix: AnyKey = (),
        after: AnyKey | None = None,
        before: AnyKey | None = None,
        now: int | None = None,
    ) -> Write[int]:
        """Delete the documents whose keys are below `prefix` and between two keys, which stay.

        Without arguments it deletes the whole collection. Returns how many there were.
        """
        command = DeleteDocuments(
            collection=collection,
            prefix=_parts(prefix),
            after=_optional_parts(after),
            before=_optional_parts(before),
            now=now,
        )
        return self._write(command)

    def check(
        self,
        collection: str,
        key: AnyKey,
        *,
        expected: int | None = None,
        now: int | None = None,
    ) -> Write[None]:
        """Guard a batch: it commits only if the document is at version `expected`.

        With 0, it commits only if there is none; without `expected`, only if there is one.

        Raises:
            VersionConflict: the document is at another version.
            NotFound: there is none, and `expected` is None.
        """
        command = CheckDocument(collection=collection, key=_parts(key), expected=expected, now=now)
        return self._write(command)

    def touch(
        self,
        collection: str,
        key: AnyKey,
        *,
        expires_at: int | UnsetType | None = UNSET,
        expires_in_ms: int | None = None,
        now: int | None = None,
    ) -> Write[bool]:
        """Move the time at which a document expires. Returns whether it exists.

        The document's version stays.

        Args:
            collection: the name of the collection.
            key: the key.
            expires_at: from this time on (unix milliseconds) it counts as absent; None: never.
            expires_in_ms: instead of `expires_at`, how many milliseconds after the commit.
            now: the present.

        Raises:
            InvalidId, InvalidValue: an argument is out of its range, or none says when.
        """
        if expires_at is UNSET and expires_in_ms is None:
            reason = "give expires_at or expires_in_ms; expires_at=None means never"
            raise InvalidValue("touchDocument", reason)
        command = TouchDocument(
            collection=collection,
            key=_parts(key),
            expires_at=None if expires_at is UNSET else expires_at,
            expires_in_ms=expires_in_ms,
            now=now,
        )
        return self._write(command)

    def purge(
        self,
        expired_before: int,
        *,
        among: Iterable[tuple[str, AnyKey]] | None = None,
        limit: int = KEYS,
    ) -> Write[int]:
        """Delete documents that expired before a time, in one step. Returns how many there were.

        They count as absent already; this makes room. One that has not expired yet stays, whatever
        time is given. What comes after the first `limit` stays for later calls; until none is left,
        `Store.purge_documents` calls it. A worker does it, too: see `purge_documents` of
        `treadle.worker.Worker`.

        Args:
            expired_before: the time, in unix milliseconds.
            among: only documents of these collections and keys, at most 1,000, such as those of
                `list_expired`; those that were written again meanwhile stay. None: any.
            limit: how many at most, those that expired first, clamped to 1..1,000.

        Raises:
            InvalidId, InvalidValue: an argument is out of its range.
        """
        names = None if among is None else _names(among)
        return self._write(PurgeDocuments(expired_before=expired_before, among=names, limit=limit))


class Documents(DocumentWrites):
    """JSON values under keys, in collections: whatever an agent knows."""

    def __init__(self, backend: Backend, write: NewWrite) -> None:
        super().__init__(write)
        self._backend = backend

    async def load(
        self, collection: str, key: AnyKey, *, now: int | None = None
    ) -> Document | None:
        """Read a document; None if it does not exist, or has expired."""
        (found,) = await self.load_many(collection, (key,), now=now)
        return found

    async def load_many(
        self, collection: str, keys: Iterable[AnyKey], *, now: int | None = None
    ) -> tuple[Document | None, ...]:
        """Read up to 1,000 documents at once, in the order of `keys`; None where there is none.

        Raises:
            CorruptRecord: one cannot be read.
            InvalidId, InvalidValue: `keys` is not a list of keys, or a name or key is not allowed.
        """
        if isinstance(keys, str) or not isinstance(keys, Iterable):
            raise InvalidValue("loadDocuments.keys", f"{shorten(keys)} is not a list of keys")
        query = LoadDocuments(collection=collection, keys=tuple(map(_parts, keys)), now=now)
        return await self._backend.read(check_query(query, "loadDocuments"))

    async def list(
        self,
        collection: str,
        *,
        prefix: AnyKey = (),
        after: AnyKey | None = None,
        before: AnyKey | None = None,
        limit: int = 50,
        order: Order = "asc",
        values: bool = True,
        now: int | None = None,
    ) -> DocumentPage:
        """List documents in the order of their keys.

        The order is that of tuples, part by part: `("a",)`, `("a", "b")`, `("a!",)`.

        Args:
            collection: the name of the collection.
            prefix: only documents whose keys begin with these parts, and have more.
            after: only keys after this one. For the next page, pass `next_cursor`.
            before: only keys before this one. For the next page when `order` is "desc", pass
                `next_cursor`.
            limit: how many at most, clamped to 1..200.
            order: "asc" or "desc".
            values: False leaves the values out (they are None), for a list of keys.
            now: the present, for documents that expire.
        """
        query = ListDocuments(
            collection=collection,
            prefix=_parts(prefix),
            after=_optional_parts(after),
            before=_optional_parts(before),
            limit=limit,
            order=order,
            values=values,
            now=now,
        )
        return await self._backend.read(check_query(query, "listDocuments"))

    async def list_expired(
        self, *, limit: int = 50, now: int | None = None
    ) -> tuple[Document, ...]:
        """List documents that have expired and are not purged, without values, the oldest first.

        Args:
            limit: how many at most, clamped to 1..200.
            now: the present in unix milliseconds; the default is the store's clock.
        """
        query = ListExpired(limit=limit, now=now)
        return await self._backend.read(check_query(query, "listExpired"))

    async def collections(
        self,
        *,
        prefix: str = "",
        after: str | None = None,
        limit: int = 50,
        now: int | None = None,
    ) -> CollectionPage:
        """List the names of the collections that have a document, in order.

        Args:
            prefix: only names that begin with this text.
            after: only names after this one. For the next page, pass `next_cursor`.
            limit: how many at most, clamped to 1..200.
            now: the present, for documents that expire.
        """
        query = ListCollections(prefix=prefix, after=after, limit=limit, now=now)
        return await self._backend.read(check_query(query, "listCollections"))


def _names(among: Iterable[Any]) -> tuple[DocumentName, ...]:
    if isinstance(among, str) or not isinstance(among, Iterable):
        raise InvalidValue("purgeDocuments.among", f"{shorten(among)} is not a list of documents")
    return tuple(_name(each, position) for position, each in enumerate(among))


def _name(document: Any, position: int) -> DocumentName:
    match document:
        case (collection, key):
            return DocumentName(collection=collection, key=_parts(key))
        case _:
            where = f"purgeDocuments.among[{position}]"
            raise InvalidValue(where, f"{shorten(document)} is not a collection and a key")


def _parts(key: AnyKey) -> Key:
    return (key,) if isinstance(key, str) else key


def _optional_parts(key: AnyKey | None) -> Key | None:
    return None if key is None else _parts(key)
