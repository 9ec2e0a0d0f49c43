"""Documents: written by their keys, read and listed in ranges of them."""

from collections.abc import Iterable, Sequence

from treadle.backends._damage import DamageLog
from treadle.backends.model.tables import Change
from treadle.backends.sql.program import Program, Read, Row, Statement, Values, direction_of, writes
from treadle.backends.sql.rows import has_value, read_document, readable
from treadle.backends.sql.tables import DOCUMENTS
from treadle.core.document_expiry import ListExpired
from treadle.core.document_keys import Key, KeyRange, check_key, join, split, split_row_key
from treadle.core.documents import (
    CollectionPage,
    Document,
    DocumentPage,
    ListCollections,
    ListDocuments,
    LoadDocuments,
    collection_page,
)
from treadle.core.limits import PAGE, clamp_page
from treadle.errors import InvalidValue

_AFTER_ALL = "\U0010ffff" * 64
"""Longer than any name, so a text with it at its end comes after all names with that text."""


def write_documents(changes: Sequence[Change], absent: Iterable[str]) -> Sequence[Statement]:
    """The statements that carry out changes of documents.

    A document in `absent` is created and deleted: a transaction that creates it at the same time
    has to wait, and then one of the two finds that the other was there.
    """
    new: list[Values] = []
    changed: list[Values] = []
    touched: list[Values] = []
    gone = [_key_columns(row_key) for row_key in sorted(absent)]
    new += [{**dict.fromkeys(DOCUMENTS.types), **_EMPTY, **key} for key in gone]
    for change in changes:
        if not isinstance(change.after, Document):
            gone.append(_key_columns(change.key))
        elif change.before is None:
            new.append(DOCUMENTS.values(change.after))
        elif has_value(change.after):
            changed.append(DOCUMENTS.values(change.after))
        else:
            touched.append(DOCUMENTS.values(change.after, without=("extra", "value")))
    new.sort(key=lambda row: (row["collection"], row["key"]))
    return writes(
        insert_document=new,
        replace_document=changed,
        update_document=touched,
        delete_document=gone,
    )


_EMPTY = {"version": 0, "created_at": 0, "updated_at": 0, "value": "null"}


def _key_columns(row_key: str) -> Values:
    return dict(zip(("collection", "key"), split_row_key(row_key), strict=True))


# --- reading --------------------------------------------------------------------------------------


def read_range(keys: KeyRange) -> Read:
    """The query that loads the documents of a range, without their values."""
    conditions, values = _range_conditions(keys)
    return Read("load_document_range", values, conditions)


def load_documents(
    query: LoadDocuments, damage: DamageLog, now: int | None
) -> Program[tuple[Document | None, ...]]:
    """The documents at some keys; one that is damaged fails the query."""
    keys = sorted({join(key) for key in query.keys})
    values = {"collection": query.collection, "keys": keys, "now": now}
    (rows,) = yield (Read("load_documents", values),)
    found = {document.key: document for document in map(read_document, rows)}
    return tuple(found.get(key) for key in query.keys)


def list_documents(
    query: ListDocuments, damage: DamageLog, now: int | None
) -> Program[DocumentPage]:
    """A page of documents."""
    conditions, values = _range_conditions(query.range)
    limit = clamp_page(query.limit)
    page = {"limit": limit + 1, "with_values": int(query.values), "now": now}
    direction = direction_of(query.order)
    (rows,) = yield (Read("list_documents", {**values, **page}, conditions, direction),)
    unreadable: list[str] = []
    return DocumentPage(
        items=tuple(readable(read_document, rows[:limit], damage, unreadable)),
        has_more=len(rows) > limit,
        next_cursor=_cursor(rows[:limit]),
        unreadable=tuple(unreadable),
    )


def list_expired(
    query: ListExpired, damage: DamageLog, now: int | None
) -> Program[tuple[Document, ...]]:
    """The documents that expired first, without values.

    Those that cannot be read are passed over: a purge leaves them, so they would hide what is
    behind them for ever.
    """
    limit = clamp_page(query.limit)
    found: list[Document] = []
    offset, number = 0, limit
    while True:
        values = {"limit": number, "offset": offset, "now": now}
        (rows,) = yield (Read("list_expired_documents", values),)
        found += readable(read_document, rows, damage)
        if len(found) >= limit or len(rows) < number:
            return tuple(found[:limit])
        offset += number
        number = PAGE


def list_collections(
    query: ListCollections, damage: DamageLog, now: int | None
) -> Program[CollectionPage]:
    """A page of the names of collections."""
    limit = clamp_page(query.limit)
    # No name has a control character, so no name lies between `after` and this text.
    first = query.prefix if query.after is None else max(query.prefix, query.after + "\x01")
    values = {"first": first, "behind": query.prefix + _AFTER_ALL, "limit": limit + 1, "now": now}
    (rows,) = yield (Read("list_collections", values),)
    return collection_page(tuple(name for (name,) in rows), limit)


def _range_conditions(keys: KeyRange) -> tuple[tuple[str, ...], dict[str, object]]:
    values: dict[str, object] = {"collection": keys.collection, "key_after": keys.after}
    if keys.before is None:
        return ("key_after",), values
    return ("key_after", "key_before"), {**values, "key_before": keys.before}


def _cursor(rows: Sequence[Row]) -> Key | None:
    """The last key of a page that can be asked for; the document itself may be damaged."""
    for _, text, *_ in reversed(rows):
        key = split(str(text))
        try:
            check_key(key, "key")
        except InvalidValue:
            continue
        return key
    return None
