"""The pages of documents: collections, what is in one, and one document."""

from collections.abc import Sequence
from typing import cast

import msgspec
from starlette.responses import Response

from treadle.core.document_keys import Key
from treadle.core.documents import (
    CollectionPage,
    Document,
    ListCollections,
    ListDocuments,
    LoadDocuments,
)
from treadle.errors import InvalidValue, NotFound, shorten
from treadle.http._call import Call
from treadle.http._dashboard._rendering import raw, redirect, render
from treadle.http._errors import Refused
from treadle.http._operation import Operation
from treadle.http._owners import OwnerRule

_PAGE = 50


class CollectionList(msgspec.Struct, frozen=True, kw_only=True):
    """Which collections are listed."""

    collection: str | None = None
    """Leads to the documents of this one."""
    prefix: str | None = None
    """How their names begin."""
    after: str | None = None
    """The last name of the page before."""


class DocumentList(msgspec.Struct, frozen=True, kw_only=True):
    """Which documents are listed."""

    prefix: str | None = None
    """The first parts of their keys; see `key_of`."""
    after: str | None = None
    """The last key of the page before."""


class DocumentQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which document is shown."""

    key: str
    """Its key; see `key_of`."""


def key_of(name: str, text: str) -> Key:
    """Return the key that a text stands for: a JSON list of its parts, or parts between slashes.

    Raises:
        InvalidValue: it is neither.
    """
    if not text.startswith("["):
        return tuple(text.split("/"))
    try:
        return msgspec.json.decode(text, type=tuple[str, ...])
    except msgspec.DecodeError as error:
        reason = f"{shorten(text)} must be a JSON list of texts, or texts between slashes"
        raise InvalidValue(name, reason) from error


def text_of(key: Sequence[str]) -> str:
    """Return the text for URLs that stands for a key, whatever characters it has."""
    return msgspec.json.encode(key).decode()


# --- owners ---------------------------------------------------------------------------------------


async def _restrict_key(call: Call, own: str) -> Call:
    wanted = cast("DocumentQuery", call.query)
    if key_of("key", wanted.key)[:1] != (own,):
        raise NotFound("document", shorten((call.ids["collection"], wanted.key)))
    return call


async def _restrict_prefix(call: Call, own: str) -> Call:
    wanted = cast("DocumentList", call.query)
    prefix = text_of((own,)) if wanted.prefix is None else wanted.prefix
    if key_of("prefix", prefix)[:1] != (own,):
        raise Refused(403, "forbidden", "the prefix must begin with you, the owner")
    query = msgspec.structs.replace(wanted, prefix=prefix)
    return msgspec.structs.replace(call, query=query)


async def _pass(call: Call, own: str) -> Call:
    return call


_OWN_KEY = OwnerRule(text="the key must begin with you, the owner", apply=_restrict_key)
_OWN_PREFIX = OwnerRule(text="only keys that begin with you, the owner", apply=_restrict_prefix)
_NO_NAMES = OwnerRule(text="an owner gets no names of collections", apply=_pass)


# --- pages ----------------------------------------------------------------------------------------


async def _list_collections(call: Call) -> Response:
    wanted = cast("CollectionList", call.query)
    if wanted.collection is not None:
        return redirect(call, "documents", wanted.collection)
    page = CollectionPage()
    if call.principal.own is None:
        (page,) = await call.store.read(
            ListCollections(prefix=wanted.prefix or "", after=wanted.after, limit=_PAGE)
        )
    return render(call, "collections.html", wanted=wanted, page=page)


async def _list(call: Call) -> Response:
    wanted, collection = cast("DocumentList", call.query), call.ids["collection"]
    (page,) = await call.store.read(
        ListDocuments(
            collection=collection,
            prefix=() if wanted.prefix is None else key_of("prefix", wanted.prefix),
            after=None if wanted.after is None else key_of("after", wanted.after),
            limit=_PAGE,
        )
    )
    return render(
        call,
        "documents.html",
        collection=collection,
        wanted=wanted,
        page=page,
        next_cursor=text_of(page.next_cursor) if page.has_more and page.next_cursor else None,
        text_of=text_of,
    )


async def _show(call: Call) -> Response:
    document = await _load(call)
    return render(call, "document.html", document=document, key=text_of(document.key))


async def _show_raw(call: Call) -> Response:
    return raw(call, "document", (await _load(call)).value)


async def _load(call: Call) -> Document:
    collection, key = call.ids["collection"], key_of("key", call.query.key)
    ((document,),) = await call.store.read(LoadDocuments(collection=collection, keys=(key,)))
    if document is None:
        raise NotFound("document", shorten((collection, *key)))
    return document


OPERATIONS = (
    Operation(
        method="GET",
        path="/documents",
        summary="List the collections of documents.",
        action="read",
        owner=_NO_NAMES,
        query=CollectionList,
        handle=_list_collections,
    ),
    Operation(
        method="GET",
        path="/documents/{collection}",
        summary="List the documents of a collection, in the order of their keys.",
        action="read",
        owner=_OWN_PREFIX,
        query=DocumentList,
        handle=_list,
    ),
    Operation(
        method="GET",
        path="/documents/{collection}/document",
        summary="Show a document.",
        action="read",
        owner=_OWN_KEY,
        query=DocumentQuery,
        handle=_show,
    ),
    Operation(
        method="GET",
        path="/documents/{collection}/document/value",
        summary="Show the value of a document as JSON, all of it.",
        action="read",
        owner=_OWN_KEY,
        query=DocumentQuery,
        handle=_show_raw,
    ),
)
