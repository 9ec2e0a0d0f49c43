"""Operations on documents: JSON values under keys, in collections."""

from typing import Literal, assert_never, cast

import msgspec
from starlette.responses import Response

from treadle.core.codec import Json
from treadle.core.document_keys import Key
from treadle.core.documents import (
    CollectionPage,
    DeleteDocument,
    DeleteDocuments,
    Document,
    DocumentPage,
    ListCollections,
    ListDocuments,
    Stored,
)
from treadle.core.limits import Time, Version
from treadle.errors import InvalidValue, NotFound, shorten
from treadle.http._call import Call
from treadle.http._errors import Refused
from treadle.http._handlers import ask, commit
from treadle.http._input import Fields
from treadle.http._mailboxes import Number
from treadle.http._operation import Operation
from treadle.http._output import answer
from treadle.http._owners import ALL, OwnerRule
from treadle.http._responses import no_content


class DocumentKey(msgspec.Struct, frozen=True, kw_only=True):
    """Which document."""

    key: Key
    """The parts of its key, in their order: `key=alice&key=settings`."""


class DocumentAtVersion(DocumentKey, frozen=True, kw_only=True):
    """Which document, and a condition."""

    expected: Version | None = None
    """Only if it is at this version; 0: only if it does not exist."""


class DocumentRange(msgspec.Struct, frozen=True, kw_only=True):
    """The documents below a prefix, between two keys, which are excluded."""

    prefix: Key = ()
    after: Key | None = None
    before: Key | None = None


class DocumentPurge(Fields, frozen=True, kw_only=True):
    """Which documents to delete."""

    expired_before: Time
    """In unix milliseconds. What has not expired yet stays, even if this is later."""


class NewDocument(Fields, frozen=True, kw_only=True):
    """A document to be stored."""

    value: Json
    """Any JSON value."""
    if_exists: Literal["replace", "keep", "raise"] = "replace"
    expected: Version | None = None
    """Replace it only if it is at this version; 0: only if it does not exist."""
    expires_at: Time | None = None
    """From this time on (unix ms) it counts as absent."""
    expires_in_ms: Time | None = None
    """Instead of a time: so many milliseconds after the commit."""


class NewExpiry(Fields, frozen=True, kw_only=True):
    """When a document expires."""

    expires_at: Time | msgspec.UnsetType | None = msgspec.UNSET
    """In unix ms; null: never."""
    expires_in_ms: Time | None = None
    """Instead of a time: so many milliseconds after the commit."""


def _missing(call: Call) -> NotFound:
    return NotFound("document", shorten((call.ids["collection"], *call.query.key)))


async def _restrict_key(call: Call, own: str) -> Call:
    if call.query.key[:1] != (own,):
        raise _missing(call)
    return call


async def _restrict_prefix(call: Call, own: str) -> Call:
    prefix = call.query.prefix or (own,)
    if prefix[0] != own:
        raise Refused(403, "forbidden", "the prefix must begin with you, the owner")
    query = msgspec.structs.replace(call.query, prefix=prefix)
    return msgspec.structs.replace(call, query=query)


_OWN_KEY = OwnerRule(text="the key must begin with you, the owner", apply=_restrict_key)
_OWN_PREFIX = OwnerRule(text="only keys that begin with you, the owner", apply=_restrict_prefix)


async def _load(call: Call) -> Response:
    document = await call.store.documents.load(call.ids["collection"], call.query.key)
    if document is None:
        raise _missing(call)
    return answer(call, document)


async def _put(call: Call) -> Response:
    body, documents = cast("NewDocument", call.body), call.store.documents
    collection, key = call.ids["collection"], call.query.key
    expiry = {"expires_at": body.expires_at, "expires_in_ms": body.expires_in_ms}
    if body.if_exists != "replace" and body.expected is not None:
        raise InvalidValue("body.expected", "give it only with if_exists=replace")
    match body.if_exists:
        case "replace":
            write = documents.put(collection, key, body.value, expected=body.expected, **expiry)
        case "keep":
            write = documents.ensure(collection, key, body.value, **expiry)
        case "raise":
            write = documents.create(collection, key, body.value, **expiry)
        case _:
            assert_never(body.if_exists)
    stored = await write
    return answer(call, stored, 201 if stored.created else 200)


async def _delete(call: Call) -> Response:
    query = cast("DocumentAtVersion", call.query)
    command = DeleteDocument(
        collection=call.ids["collection"], key=query.key, expected=query.expected
    )
    await commit(call, command)
    return no_content()


async def _touch(call: Call) -> Response:
    body, documents = cast("NewExpiry", call.body), call.store.documents
    if not await documents.touch(
        call.ids["collection"],
        call.query.key,
        expires_at=body.expires_at,
        expires_in_ms=body.expires_in_ms,
    ):
        raise _missing(call)
    return no_content()


async def _delete_range(call: Call) -> Response:
    query = cast("DocumentRange", call.query)
    command = DeleteDocuments(
        collection=call.ids["collection"],
        prefix=query.prefix,
        after=query.after,
        before=query.before,
    )
    return answer(call, Number(count=await commit(call, command)))


async def _purge(call: Call) -> Response:
    expired_before = cast("DocumentPurge", call.body).expired_before
    return answer(call, Number(count=await call.store.purge_documents(expired_before)))


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/collections",
        summary="List the names of the collections that have a document.",
        action="read",
        owner=ALL,
        query=ListCollections,
        answers={200: CollectionPage},
        handle=ask,
    ),
    Operation(
        method="GET",
        path="/v1/collections/{collection}/documents",
        summary="List documents in the order of their keys.",
        action="read",
        owner=_OWN_PREFIX,
        query=ListDocuments,
        answers={200: DocumentPage},
        handle=ask,
        details=(
            "`prefix`, `after` and `before` are keys: each part of a key is a parameter of that "
            "name. For the next page, pass `next_cursor` as `after`."
        ),
    ),
    Operation(
        method="DELETE",
        path="/v1/collections/{collection}/documents",
        summary="Delete the documents below a prefix, between two keys; answers how many.",
        action="delete",
        owner=_OWN_PREFIX,
        query=DocumentRange,
        answers={200: Number},
        handle=_delete_range,
        details="Without parameters it deletes the whole collection, or all of yours in it.",
    ),
    Operation(
        method="GET",
        path="/v1/collections/{collection}/document",
        summary="Read a document.",
        action="read",
        owner=_OWN_KEY,
        query=DocumentKey,
        answers={200: Document},
        handle=_load,
    ),
    Operation(
        method="PUT",
        path="/v1/collections/{collection}/document",
        summary="Create or replace a document.",
        action="write_documents",
        owner=_OWN_KEY,
        query=DocumentKey,
        body=NewDocument,
        answers={200: Stored, 201: Stored},
        handle=_put,
        details="201: there was none before.",
    ),
    Operation(
        method="DELETE",
        path="/v1/collections/{collection}/document",
        summary="Delete a document.",
        action="write_documents",
        owner=_OWN_KEY,
        query=DocumentAtVersion,
        handle=_delete,
        details="204 even if there was none.",
    ),
    Operation(
        method="POST",
        path="/v1/collections/{collection}/document/touch",
        summary="Change when a document expires.",
        action="write_documents",
        owner=_OWN_KEY,
        query=DocumentKey,
        body=NewExpiry,
        handle=_touch,
    ),
    Operation(
        method="POST",
        path="/v1/purge/documents",
        summary="Delete the documents that expired before a time; answers how many.",
        action="purge",
        owner=ALL,
        body=DocumentPurge,
        answers={200: Number},
        handle=_purge,
    ),
)
