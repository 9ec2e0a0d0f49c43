"""Documents that have expired: which they are, and how they are removed."""

from collections.abc import Iterable, Iterator

import msgspec

from treadle.core.codec import Model
from treadle.core.commands import Command
from treadle.core.document_keys import Key, check_key, row_key
from treadle.core.documents import KEYS, Document, DocumentRows, has_expired, is_live
from treadle.core.ids import CollectionId, check_id
from treadle.core.limits import Bound, Time, clamp_page
from treadle.core.queries import TimedQuery
from treadle.core.read_set import ReadSet
from treadle.errors import InvalidValue


class DocumentName(Model, frozen=True, kw_only=True):
    """Where a document is."""

    collection: CollectionId
    key: Key


class PurgeDocuments(Command[int], frozen=True, kw_only=True):
    """Deletes documents that expired before `expired_before`. Result: how many.

    A document that has not expired by now stays, even if `expired_before` is later.
    """

    expired_before: Time
    among: tuple[DocumentName, ...] | None = None
    """Only these documents, at most 1,000; None: any."""
    limit: Bound = KEYS
    """How many at most, clamped to 1..1,000: those that expired first."""

    def check(self) -> None:
        """Refuse keys that cannot be stored, and too many."""
        among = self.among or ()
        if len(among) > KEYS:
            raise InvalidValue(
                "purgeDocuments.among", f"at most {KEYS} at a time, not {len(among)}"
            )
        for position, name in enumerate(among):
            check_id("collection", name.collection)
            check_key(name.key, f"purgeDocuments.among[{position}].key")

    def touches(self, read_set: ReadSet) -> None:
        """The first documents that expired before that time, or those that are named."""
        if self.among is None:
            read_set.add_expired(self.expired_before, self._number)
        else:
            read_set.documents.update(_rows_of(self.among))

    def apply(self, rows: DocumentRows, now: int) -> int:
        """Remove the documents."""
        # The caller's clock may be ahead of the one by which documents expire.
        expired = [each for each in self._find_expired(rows) if not is_live(each, now)]
        for document in expired:
            rows.documents.remove(row_key(document.collection, document.key))
        return len(expired)

    @property
    def _number(self) -> int:
        return max(1, min(self.limit, KEYS))

    def _find_expired(self, rows: DocumentRows) -> Iterable[Document]:
        if self.among is None:
            return rows.find_expired(self.expired_before, self._number)
        named = map(rows.documents.get, dict.fromkeys(_rows_of(self.among)))
        return [each for each in named if each and has_expired(each, self.expired_before)]


def _rows_of(names: Iterable[DocumentName]) -> Iterator[str]:
    return (row_key(name.collection, name.key) for name in names)


class ListExpired(TimedQuery[tuple[Document, ...]], frozen=True, kw_only=True):
    """The documents that have expired, without values, those that did so first."""

    limit: Bound = 50

    def answer(self, rows: DocumentRows, now: int) -> tuple[Document, ...]:
        """Take the first ones."""
        first = rows.find_expired(now + 1, clamp_page(self.limit))
        return tuple(msgspec.structs.replace(document, value=None) for document in first)
