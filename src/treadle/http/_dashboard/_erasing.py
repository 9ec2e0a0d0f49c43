"""Erasing an owner: what would be deleted, and deleting it once the owner's id is typed."""

from typing import cast
from urllib.parse import unquote

import msgspec
from starlette.responses import Response

from treadle.core.codec import to_plain
from treadle.core.escaping import printable
from treadle.errors import InvalidValue
from treadle.http._call import Call
from treadle.http._dashboard._rendering import redirect, render
from treadle.http._errors import Refused
from treadle.http._operation import Operation
from treadle.http._owners import ALL
from treadle.store.erasing import Erased

_KINDS = {
    "threads": ("thread", "threads"),
    "runs": ("run", "runs"),
    "mailboxes": ("mailbox", "mailboxes"),
    "entries": ("entry", "entries"),
    "documents": ("document", "documents"),
}


class EraseQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Whose data is counted."""

    resource_id: str


class EraseForm(msgspec.Struct, frozen=True, kw_only=True):
    """Whose data is deleted."""

    owner: str
    """The id of the owner, percent-encoded: in forms, invisible characters would be lost."""
    confirmation: str | None = None
    """The same id, typed by hand, as it is or as pages show it."""
    thread_documents: bool = False
    """Also the documents whose keys begin with the id of one of the owner's threads."""


async def _ask(call: Call) -> Response:
    if call.read_only:
        raise Refused(403, "read_only", "the server only reads")
    owner = cast("EraseQuery", call.query).resource_id
    counted = await call.store.erase(owner, dry_run=True)
    return render(call, "erase.html", owner=owner, counted=counted, numbers=_numbers_of(counted))


async def _erase(call: Call) -> Response:
    form = cast("EraseForm", call.body)
    owner = unquote(form.owner)
    if form.confirmation not in (owner, printable(owner)):
        raise InvalidValue("confirmation", "type the id of the owner, to the letter")
    erased = await call.store.erase(owner, thread_documents=form.thread_documents)
    said = [f"Deleted: {', '.join(_numbers_of(erased))}."]
    if erased.left:
        said.append("Documents whose keys begin with the ids of these threads stay.")
    if erased.unreadable:
        said.append("Records that cannot be read stay; erase again when they are repaired.")
    return redirect(call, "threads", said=" ".join(said))


def _numbers_of(erased: Erased) -> list[str]:
    """How many rows of each kind it is, in words."""
    plain = to_plain(erased)
    return [
        f"{plain[name]:,} {one if plain[name] == 1 else many}"
        for name, (one, many) in _KINDS.items()
    ]


OPERATIONS = (
    Operation(
        method="GET",
        path="/erase",
        summary="Show what an erasure of an owner would delete.",
        action="erase",
        owner=ALL,
        query=EraseQuery,
        handle=_ask,
    ),
    Operation(
        method="POST",
        path="/erase",
        summary="Delete everything of an owner, whose id was typed.",
        action="erase",
        owner=ALL,
        form=EraseForm,
        handle=_erase,
    ),
)
