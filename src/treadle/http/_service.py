"""Operations on the server and the store: health, erasing an owner, purging old threads."""

from typing import cast

from starlette.responses import Response

from treadle.core.limits import Time
from treadle.core.mailbox_queries import LoadMailbox
from treadle.http._call import Call
from treadle.http._input import Fields
from treadle.http._operation import Operation
from treadle.http._output import answer
from treadle.http._owners import ALL, PUBLIC
from treadle.http._responses import SAFE_HEADERS
from treadle.store.erasing import Erased
from treadle.store.retention import PurgedThreads


class NewErasure(Fields, frozen=True, kw_only=True):
    """Whose data is deleted."""

    resource_id: str
    thread_documents: bool = False
    """Also the documents whose keys begin with the id of one of the owner's threads."""
    dry_run: bool = False
    """Delete nothing, and answer what would be deleted."""


class ThreadPurge(Fields, frozen=True, kw_only=True):
    """Which threads are deleted."""

    changed_before: Time
    """Those that were changed last before it, in unix milliseconds."""
    resource_id: str | None = None
    """Only those of this owner, and those below them without an owner."""


async def _erase(call: Call) -> Response:
    body = cast("NewErasure", call.body)
    erased = await call.store.erase(
        body.resource_id, thread_documents=body.thread_documents, dry_run=body.dry_run
    )
    return answer(call, erased)


async def _purge_threads(call: Call) -> Response:
    call.require("purge")
    body = cast("ThreadPurge", call.body)
    purged = await call.store.purge_threads(body.changed_before, resource_id=body.resource_id)
    return answer(call, purged)


async def _is_up(call: Call) -> Response:
    return Response(b"", 200, SAFE_HEADERS)


async def _is_ready(call: Call) -> Response:
    await call.store.read(LoadMailbox(mailbox_id="health"))
    return Response(b"", 200, SAFE_HEADERS)


OPERATIONS = (
    Operation(
        method="GET",
        path="/health",
        summary="Say that the server runs.",
        action=None,
        owner=PUBLIC,
        answers={200: None},
        handle=_is_up,
    ),
    Operation(
        method="GET",
        path="/health/ready",
        summary="Say that the store can be read; 503 if not.",
        action=None,
        owner=PUBLIC,
        answers={200: None},
        handle=_is_ready,
    ),
    Operation(
        method="POST",
        path="/v1/erase",
        summary="Delete everything of an owner; answers how many rows of each kind.",
        action="erase",
        owner=ALL,
        body=NewErasure,
        answers={200: Erased},
        handle=_erase,
        details=(
            "If it fails, call it again: it deletes what is left. `left` are the ids of deleted"
            " threads with which keys of documents begin. These stay, as such an id may be another"
            " owner's, unless `thread_documents` is true. `unreadable` names damaged records, which"
            " stay, and may be the owner's. With `dry_run`, it only counts."
        ),
    ),
    Operation(
        method="POST",
        path="/v1/purge/threads",
        summary="Delete threads that have not changed for long, with their runs and mailboxes.",
        action="delete",
        owner=ALL,
        body=ThreadPurge,
        answers={200: PurgedThreads},
        handle=_purge_threads,
        details=(
            "It also needs the right to `purge`. `active` is the number of old threads that stay,"
            " as work waits there, or below them. If it fails, call it again: it deletes what is"
            " left. Documents stay."
        ),
    ),
)
