"""Documents of a collection, read page by page, and never with a damaged one left out."""

from collections.abc import AsyncIterator, Sequence

from treadle import CorruptRecord, Document, DocumentPage, Documents, InvalidValue

Key = tuple[str, ...]
PAGE = 200
"""Most documents of a page."""
NOBODY = ""
"""The first part of keys that belong to no owner.

A document belongs to the owner with whose id its key begins: that owner reads and writes it over
HTTP, and `Store.erase` deletes it. An id is never empty, so nobody can have this one.
"""


async def find_document(documents: Documents, collection: str, key: Key) -> Document | None:
    """Return a document; None if there is none, also for a key that no document can have.

    The ids in keys are often those of a request. A client that names one which cannot be stored,
    such as one with a line break, names something that does not exist.
    """
    try:
        return await documents.load(collection, key)
    except InvalidValue:
        return None


async def each_document(
    documents: Documents,
    collection: str,
    prefix: Key,
    *,
    values: bool = True,
    after: Key | None = None,
) -> AsyncIterator[Document]:
    """Yield all documents below a prefix, in the order of their keys.

    Args:
        documents: the documents of the store.
        collection: the collection.
        prefix: the first parts of the keys.
        values: whether the values are read; without them, damage does not matter.
        after: only documents after this key.

    Raises:
        CorruptRecord: one is damaged, and its value is wanted.
    """
    while True:
        page = await documents.list(
            collection, prefix=prefix, after=after, limit=PAGE, values=values
        )
        for document in undamaged(collection, page) if values else page.items:
            yield document
        if not page.has_more:
            return
        after = page.next_cursor


def undamaged(collection: str, page: DocumentPage) -> Sequence[Document]:
    """Return the documents of a page.

    A reader that skips a damaged one takes an older state for the newest, or a part for the whole.

    Raises:
        CorruptRecord: one is damaged.
    """
    if page.unreadable:
        names = ", ".join(page.unreadable)
        advice = "restore it from a backup, or delete it"
        raise CorruptRecord(f"collection {collection!r}", f"{names} is damaged", advice)
    return page.items
