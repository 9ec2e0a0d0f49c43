"""Backends that break the rules of documents."""

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from tests.conformance.broken_backends.broken_backend import Twisted, breaks
from treadle.backends.base import Guarantee
from treadle.backends.memory.backend import MemoryBackend
from treadle.backends.model.tables import Tables
from treadle.core.commands import AnyCommand
from treadle.core.document_expiry import PurgeDocuments
from treadle.core.document_keys import KeyRange, row_key
from treadle.core.documents import (
    CheckDocument,
    DeleteDocuments,
    Document,
    DocumentRows,
    ListCollections,
    ListDocuments,
    LoadDocuments,
    PutDocument,
    TouchDocument,
)
from treadle.core.pages import Order


@breaks(Guarantee.DOCUMENTS_CHANGE_BY_RULE, "a write that expects another version changes nothing")
class Unguarded(Twisted):
    """Does not compare the version that a put expects."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        return replace(command, expected=None) if isinstance(command, PutDocument) else command


@breaks(Guarantee.DOCUMENTS_CHANGE_BY_RULE, "a check of a missing document guards a batch")
class Trusting(Twisted):
    """Takes a check without a version for one that always passes."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if isinstance(command, CheckDocument) and command.expected is None:
            return replace(command, expected=0)
        return command


@breaks(Guarantee.DOCUMENTS_CHANGE_BY_RULE, "a version is not used again after a removal")
class Counting(Tables):
    """Begins to count again when a document was removed."""

    def new_version(self, least: int) -> int:
        return least


@breaks(Guarantee.DOCUMENTS_CHANGE_BY_RULE, "a touch moves the expiry and nothing else")
class Pushing(Tables):
    """Raises the version with each put of a row."""

    def put(self, table: Any, key: str, row: Any) -> None:
        before = self.documents.get(key) if table == "documents" else None
        if isinstance(row, Document) and before is not None and row.version == before.version:
            row = replace(row, version=row.version + 1)
        super().put(table, key, row)


@breaks(Guarantee.DOCUMENTS_CHANGE_BY_RULE, "an expired document is absent for reads")
class Lingering(MemoryBackend):
    """Shows documents until they are purged."""

    async def read(self, query: Any) -> Any:
        if isinstance(query, LoadDocuments | ListDocuments | ListCollections):
            query = replace(query, now=0)
        return await super().read(query)


@breaks(Guarantee.TIME_IS_GIVEN, "a read takes its own time")
class Punctual(MemoryBackend):
    """Reads at the time of its own clock."""

    async def read(self, query: Any) -> Any:
        if isinstance(query, LoadDocuments | ListDocuments | ListCollections):
            query = replace(query, now=None)
        return await super().read(query)


@breaks(Guarantee.DOCUMENTS_CHANGE_BY_RULE, "an expired document is absent for writes")
class Hoarding(Twisted):
    """Lets no document expire that is put at version 0."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if isinstance(command, PutDocument) and command.expected == 0:
            return replace(command, now=0)
        return command


class _AsTold(PurgeDocuments, frozen=True, kw_only=True):
    def apply(self, rows: DocumentRows, now: int) -> int:
        return super().apply(rows, self.expired_before)


@breaks(Guarantee.DOCUMENTS_CHANGE_BY_RULE, "a purge removes nothing that has not expired")
class Hasty(Twisted):
    """Believes the time up to which documents are purged."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if isinstance(command, PurgeDocuments):
            return _AsTold(
                expired_before=command.expired_before, among=command.among, limit=command.limit
            )
        return command


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "a range is listed: below a prefix")
class Textual(Tables):
    """Takes keys for texts: `ab` is below `a`."""

    def find_documents(self, keys: KeyRange, order: Order = "asc") -> Iterable[Document]:
        if keys.before is not None and keys.before.endswith(" "):
            keys = KeyRange(keys.collection, keys.after, keys.before[:-1] + "\U0010ffff")
        return super().find_documents(keys, order)


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "pages hold every document once")
class Repeating(MemoryBackend):
    """Begins a page with the last document of the one before."""

    async def read(self, query: Any) -> Any:
        answer = await super().read(query)
        if isinstance(query, ListDocuments) and query.after is not None:
            document = self.tables.documents.get(row_key(query.collection, query.after))
            return replace(answer, items=(document, *answer.items[:-1]))
        return answer


@breaks(Guarantee.ONE_ORDER, "a removal of a range sees its own batch")
class Early(Tables):
    """Looks for a range among the documents that were there before the batch."""

    def find_documents(self, keys: KeyRange, order: Order = "asc") -> Iterable[Document]:
        new = {key for (table, key), before in self._before.items() if before is None}
        found = list(super().find_documents(keys, order))
        return [each for each in found if row_key(each.collection, each.key) not in new]


@breaks(Guarantee.DOCUMENTS_CHANGE_BY_RULE, "a range is removed: after a key")
class Including(Twisted):
    """Removes the first key too."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if isinstance(command, DeleteDocuments) and command.after is not None:
            *before, last = command.after
            return replace(command, after=(*before, last[:-1]) if last[:-1] or before else None)
        return command


@breaks(Guarantee.DOCUMENTS_CHANGE_BY_RULE, "a touch moves the expiry and nothing else")
class Reviving(Twisted):
    """Touches documents that have expired."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        return replace(command, now=0) if isinstance(command, TouchDocument) else command
