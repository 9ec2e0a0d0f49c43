"""Searching: one box that leads to what has an id, to a document, or to the threads of an owner."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple, cast

import msgspec
from starlette.responses import Response

from treadle.core.document_keys import Key
from treadle.core.documents import LoadDocuments
from treadle.core.ids import is_id
from treadle.core.mailbox_queries import LoadEntry, LoadMailbox
from treadle.core.run_queries import LoadRun
from treadle.core.thread_summaries import ListThreadSummaries, LoadThreadSummary
from treadle.errors import InvalidId, InvalidValue, NotFound
from treadle.http._call import Call
from treadle.http._dashboard._documents import text_of
from treadle.http._dashboard._rendering import redirect, render
from treadle.http._operation import Operation
from treadle.http._owners import (
    OwnerRule,
    require_own_entry,
    require_own_mailbox,
    require_own_run,
    require_own_thread,
)
from treadle.store.store import Store


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched for."""

    q: str | None = None
    """An id, an owner, or the collection and the key of a document with slashes between."""


class Kind(NamedTuple):
    """A kind of thing that has ids."""

    section: str
    """The first segment of the paths of its pages."""
    require_own: Callable[[Store, str, str], Awaitable[None]]


_KINDS = (
    Kind("threads", require_own_thread),
    Kind("entries", require_own_entry),
    Kind("runs", require_own_run),
    Kind("mailboxes", require_own_mailbox),
)
"""The thread comes before the mailbox with its id, which its page shows, too."""


async def _search(call: Call) -> Response:
    wanted = cast("SearchQuery", call.query).q
    text = None if wanted is None else wanted.strip()
    if text is not None and is_id(text):
        for kind in await _kinds_of(call, text):
            return redirect(call, kind.section, text)
    if text is not None and "/" in text:
        collection, *parts = text.split("/")
        if await _has_document(call, collection, tuple(parts)):
            return redirect(call, "documents", collection, "document", key=text_of(parts))
    if text and await _owns_threads(call, text):
        return redirect(call, "threads", resource_id=text)
    return render(call, "search.html", text=text)


async def _kinds_of(call: Call, text: str) -> list[Kind]:
    """Return the kinds of things that have the id, and that the principal may see."""
    found = await call.store.read(
        LoadThreadSummary(thread_id=text),
        LoadEntry(entry_id=text),
        LoadRun(run_id=text),
        LoadMailbox(mailbox_id=text),
    )
    own = call.principal.own
    kinds = [kind for kind, value in zip(_KINDS, found, strict=True) if value is not None]
    if own is None:
        return kinds
    return [kind for kind in kinds if await _is_own(call.store, kind, text, own)]


async def _owns_threads(call: Call, text: str) -> bool:
    """Return whether threads have an owner of this id, and the principal sees all owners."""
    if call.principal.own is not None:
        return False
    (page,) = await call.store.read(ListThreadSummaries(resource_id=text, limit=1))
    return bool(page.items)


async def _has_document(call: Call, collection: str, key: Key) -> bool:
    """Return whether there is such a document, and the principal may see it."""
    own = call.principal.own
    if own is not None and key[0] != own:
        return False
    query = LoadDocuments(collection=collection, keys=(key,))
    try:
        ((found,),) = await call.store.read(query)
    except (InvalidId, InvalidValue):  # there can be none with this name
        return False
    return found is not None


async def _is_own(store: Store, kind: Kind, text: str, own: str) -> bool:
    try:
        await kind.require_own(store, text, own)
    except NotFound:
        return False
    return True


async def _pass(call: Call, own: str) -> Call:
    return call


OPERATIONS = (
    Operation(
        method="GET",
        path="/search",
        summary="Lead to the page of what has an id.",
        action="read",
        owner=OwnerRule(text="only what is yours is found", apply=_pass),
        query=SearchQuery,
        handle=_search,
    ),
)
