"""Written by `make twin` from `treadle.store.documents`: change that, not this."""

from collections.abc import Iterable

from msgspec import UNSET, UnsetType

from treadle.blocking._portal import Portal
from treadle.core.codec import Json
from treadle.core.documents import KEYS, CollectionPage, Document, DocumentPage, Stored
from treadle.core.pages import Order
from treadle.store import documents as original
from treadle.store.documents import AnyKey


class DocumentWrites:
    """Writes to documents: done at once.

    A collection is named by an id and need not be created. A key is a text, or a tuple of 1 to 16
    texts, of at most 1,024 bytes together, without control characters.
    """

    def __init__(self, writes: original.DocumentWrites, portal: Portal) -> None:
        self._portal = portal
        self._writes = writes

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
    ) -> Stored:
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
        return self._portal.call(
            self._writes.put(
                collection,
                key,
                value,
                expected=expected,
                expires_at=expires_at,
                expires_in_ms=expires_in_ms,
                now=now,
            )
        )

    def create(
        self,
        collection: str,
        key: AnyKey,
        value: Json,
        *,
        expires_at: int | None = None,
        expires_in_ms: int | None = None,
        now: int | None = None,
    ) -> Stored:
        """Create a document; see `put`.

        Raises:
            AlreadyExists: there is one.
        """
        return self._portal.call(
            self._writes.create(
                collection, key, value, expires_at=expires_at, expires_in_ms=expires_in_ms, now=now
            )
        )

    def ensure(
        self,
        collection: str,
        key: AnyKey,
        value: Json,
        *,
        expires_at: int | None = None,
        expires_in_ms: int | None = None,
        now: int | None = None,
    ) -> Stored:
        """Create a document unless it exists; see `put`. The first writer wins."""
        return self._portal.call(
            self._writes.ensure(
                collection, key, value, expires_at=expires_at, expires_in_ms=expires_in_ms, now=now
            )
        )

    def delete(
        self, collection: str, key: AnyKey, *, expected: int | None = None, now: int | None = None
    ) -> bool:
        """Delete a document. Returns whether it existed.

        Raises:
            VersionConflict: the document is not at version `expected`.
        """
        return self._portal.call(self._writes.delete(collection, key, expected=expected, now=now))

    def delete_range(
        self,
        collection: str,
        *,
        prefix: AnyKey = (),
        after: AnyKey | None = None,
        before: AnyKey | None = None,
        now: int | None = None,
    ) -> int:
        """Delete the documents whose keys are below `prefix` and between two keys, which stay.

        Without arguments it deletes the whole collection. Returns how many there were.
        """
        return self._portal.call(
            self._writes.delete_range(
                collection, prefix=prefix, after=after, before=before, now=now
            )
        )

    def check(
        self, collection: str, key: AnyKey, *, expected: int | None = None, now: int | None = None
    ) -> None:
        """Guard a batch: it commits only if the document is at version `expected`.

        With 0, it commits only if there is none; without `expected`, only if there is one.

        Raises:
            VersionConflict: the document is at another version.
            NotFound: there is none, and `expected` is None.
        """
        return self._portal.call(self._writes.check(collection, key, expected=expected, now=now))

    def touch(
        self,
        collection: str,
        key: AnyKey,
        *,
        expires_at: int | UnsetType | None = UNSET,
        expires_in_ms: int | None = None,
        now: int | None = None,
    ) -> bool:
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
        return self._portal.call(
            self._writes.touch(
                collection, key, expires_at=expires_at, expires_in_ms=expires_in_ms, now=now
            )
        )

    def purge(
        self,
        expired_before: int,
        *,
        among: Iterable[tuple[str, AnyKey]] | None = None,
        limit: int = KEYS,
    ) -> int:
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
        return self._portal.call(self._writes.purge(expired_before, among=among, limit=limit))


class Documents(DocumentWrites):
    """JSON values under keys, in collections: whatever an agent knows."""

    def __init__(self, reads: original.Documents, portal: Portal) -> None:
        super().__init__(reads, portal)
        self._reads = reads

    def load(self, collection: str, key: AnyKey, *, now: int | None = None) -> Document | None:
        """Read a document; None if it does not exist, or has expired."""
        return self._portal.call(self._reads.load(collection, key, now=now))

    def load_many(
        self, collection: str, keys: Iterable[AnyKey], *, now: int | None = None
    ) -> tuple[Document | None, ...]:
        """Read up to 1,000 documents at once, in the order of `keys`; None where there is none.

        Raises:
            CorruptRecord: one cannot be read.
            InvalidId, InvalidValue: `keys` is not a list of keys, or a name or key is not allowed.
        """
        return self._portal.call(self._reads.load_many(collection, keys, now=now))

    def list(
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
        return self._portal.call(
            self._reads.list(
                collection,
                prefix=prefix,
                after=after,
                before=before,
                limit=limit,
                order=order,
                values=values,
                now=now,
            )
        )

    def list_expired(self, *, limit: int = 50, now: int | None = None) -> tuple[Document, ...]:
        """List documents that have expired and are not purged, without values, the oldest first.

        Args:
            limit: how many at most, clamped to 1..200.
            now: the present in unix milliseconds; the default is the store's clock.
        """
        return self._portal.call(self._reads.list_expired(limit=limit, now=now))

    def collections(
        self, *, prefix: str = "", after: str | None = None, limit: int = 50, now: int | None = None
    ) -> CollectionPage:
        """List the names of the collections that have a document, in order.

        Args:
            prefix: only names that begin with this text.
            after: only names after this one. For the next page, pass `next_cursor`.
            limit: how many at most, clamped to 1..200.
            now: the present, for documents that expire.
        """
        return self._portal.call(
            self._reads.collections(prefix=prefix, after=after, limit=limit, now=now)
        )
