"""Operations on threads as a whole: list, create, look, label, delete."""

from typing import Literal, cast

import msgspec
from starlette.responses import Response

from treadle.clock import new_id
from treadle.core.codec import Json, SortedModel, always_encoded
from treadle.core.ids import ThreadId
from treadle.core.limits import PAGE, Bound, Count, Time, Version
from treadle.core.messages import Message
from treadle.core.thread_commands import UpdateThread
from treadle.core.thread_queries import ListThreads
from treadle.core.thread_summaries import (
    ListThreadSummaries,
    LoadThreadSummary,
    ThreadSummary,
    ThreadSummaryPage,
)
from treadle.core.threads import (
    SET_BY_THE_STORE,
    FurtherKeys,
    Thread,
    ThreadMetadata,
    ThreadPage,
)
from treadle.errors import AlreadyExists, NotFound, PatchError
from treadle.http._call import Call
from treadle.http._errors import Refused
from treadle.http._handlers import ask, ask_for
from treadle.http._input import Fields, OpenBody
from treadle.http._messages import visible
from treadle.http._operation import Operation
from treadle.http._output import answer
from treadle.http._owners import (
    FILTERED,
    OWN_THREAD,
    OwnerRule,
    owned_as,
    require_free_thread,
    require_own_thread,
)
from treadle.http._responses import in_path, no_content


class NewThread(Fields, frozen=True, kw_only=True):
    """A thread to be created."""

    id: ThreadId | None = None
    """Left out, the server makes one."""
    resource_id: str | None = None
    """The owner; for a principal that has one, it is theirs."""
    parent_thread_id: ThreadId | None = None
    messages: tuple[Message, ...] = ()
    state: Json = None
    metadata: FurtherKeys = msgspec.field(default_factory=dict)
    """Further keys of the metadata, such as `title`."""
    if_exists: Literal["raise", "keep"] = "raise"
    """"keep": if the thread exists, it stays as it is, and is the answer."""


class ThreadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a thread is shown."""

    messages: bool = True
    """Show the messages, too."""
    version: Bound | None = None
    """As it was at this version; the present is the default."""


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """A condition of a write."""

    expected: Version | None = None
    """Only if the thread is at this version."""


class ShownThread(SortedModel, frozen=True, kw_only=True):
    """A thread, as tirea shows it, and its version."""

    id: ThreadId
    resource_id: str | None = None
    parent_thread_id: ThreadId | None = None
    messages: tuple[Message, ...] = always_encoded(())
    state: Json = always_encoded(None)
    """The state with all patches applied; without them if that fails, see `state_error`."""
    state_error: str | None = None
    """Why the patches cannot be applied. A change set with a snapshot replaces both."""
    metadata: ThreadMetadata
    version: Version


class Title(SortedModel, frozen=True, kw_only=True):
    """A thread in the list of a sidebar, as tirea shows it."""

    id: ThreadId
    title: Json = always_encoded(None)
    updated_at: Time | None = always_encoded(None)
    created_at: Time | None = always_encoded(None)
    message_count: Count


class Titles(msgspec.Struct, frozen=True, kw_only=True):
    """Which threads are listed."""

    resource_id: str | None = None
    """Only threads of this owner."""


async def _list_titles(call: Call) -> Response:
    query = ListThreadSummaries(
        by="updated_at",
        order="desc",
        limit=PAGE,
        resource_id=call.query.resource_id,
        roots=True,
    )
    (page,) = await call.store.read(query)
    return answer(call, tuple(map(_title_of, page.items)))


def _title_of(summary: ThreadSummary) -> Title:
    return Title(
        id=summary.id,
        title=summary.metadata.extra.get("title"),
        updated_at=summary.metadata.updated_at,
        created_at=summary.metadata.created_at,
        message_count=summary.message_count,
    )


async def _restrict_new(call: Call, own: str) -> Call:
    body = cast("NewThread", call.body)
    resource_id = owned_as(own, body.resource_id)
    if body.parent_thread_id is not None:
        await require_own_thread(call.store, body.parent_thread_id, own)
    body = msgspec.structs.replace(body, resource_id=resource_id)
    return msgspec.structs.replace(call, body=body)


_NEW = OwnerRule(text="the new thread is yours, and its parent must be", apply=_restrict_new)


async def _create(call: Call) -> Response:
    body, own = cast("NewThread", call.body), call.principal.own
    thread = Thread(
        id=new_id() if body.id is None else body.id,
        resource_id=body.resource_id,
        parent_thread_id=body.parent_thread_id,
        messages=body.messages,
        state=body.state,
        metadata=ThreadMetadata(extra=body.metadata),
    )
    (known,) = await call.store.read(LoadThreadSummary(thread_id=thread.id))
    if known is not None and body.if_exists == "keep":
        return answer(call, _own(known, own))
    if own is not None and body.id is not None:
        await require_free_thread(call.store, thread.id)
    if body.if_exists == "keep":
        await call.store.threads.ensure(thread)
    else:
        await call.store.threads.create(thread)
    (summary,) = await call.store.read(LoadThreadSummary(thread_id=thread.id))
    if summary is None:
        raise NotFound("thread", thread.id)
    return answer(call, _own(summary, own), 201, {"location": in_path(thread.id)})


def _own(summary: ThreadSummary, own: str | None) -> ThreadSummary:
    if own is not None and summary.resource_id != own:
        raise AlreadyExists("thread", summary.id, "use another id")
    return summary


async def _show(call: Call) -> Response:
    thread_id, options = call.ids["thread_id"], cast("ThreadOptions", call.query)
    head = await call.store.threads.load(thread_id, version=options.version)
    if head is None and await call.store.threads.summary(thread_id) is not None:
        reason = "the thread as it was at this version is not known"
        raise Refused(410, "version_unknown", reason)
    if head is None:
        raise NotFound("thread", thread_id)
    thread = head.thread
    messages = visible(thread.messages, internal=call.can("read_internal"))
    state, state_error = await _state_of(call, thread)
    shown = ShownThread(
        id=thread.id,
        resource_id=thread.resource_id,
        parent_thread_id=thread.parent_thread_id,
        messages=messages if options.messages else (),
        state=_without_run(state),
        state_error=state_error,
        metadata=thread.metadata,
        version=head.version,
        extra=thread.extra,
    )
    return answer(call, shown)


async def _state_of(call: Call, thread: Thread) -> tuple[Json, str | None]:
    """The state, and why it is without its patches: one that does not fit hides no conversation."""
    try:
        return await call.rebuilding.state_of(thread), None
    except PatchError as error:
        return thread.state, ". ".join((str(error), *error.__notes__))  # which say what to do


def _without_run(state: Json) -> Json:
    """The state without the id of the run that tirea keeps in it."""
    if not isinstance(state, dict) or not isinstance(state.get("__run"), dict):
        return state
    run = {key: value for key, value in state["__run"].items() if key != "id"}
    return {**state, "__run": run}


async def _restrict_labels(call: Call, own: str) -> Call:
    call = await OWN_THREAD.apply(call, own)
    body = cast("UpdateThread", call.body)
    if body.resource_id is not msgspec.UNSET and body.resource_id != own:
        raise Refused(403, "forbidden", "you cannot give a thread away")
    if isinstance(body.parent_thread_id, str):
        await require_own_thread(call.store, body.parent_thread_id, own)
    return call


_LABELS = OwnerRule(
    text="the thread must be yours and stay so, and its new parent must be yours",
    apply=_restrict_labels,
    ids=("thread_id",),
)


async def _update(call: Call) -> Response:
    await call.store.commit((call.body,))
    return await _answer_summary(call)


async def _answer_summary(call: Call) -> Response:
    thread_id = call.ids["thread_id"]
    (summary,) = await call.store.read(LoadThreadSummary(thread_id=thread_id))
    if summary is None:
        raise NotFound("thread", thread_id)
    return answer(call, summary)


async def _merge_metadata(call: Call) -> Response:
    patch = cast("MetadataPatch", call.body).extra
    await call.store.threads.update(call.ids["thread_id"], metadata=patch)
    (summary,) = await call.store.read(LoadThreadSummary(thread_id=call.ids["thread_id"]))
    if summary is None:
        raise NotFound("thread", call.ids["thread_id"])
    return answer(call, summary.metadata)


async def _delete(call: Call) -> Response:
    expected = cast("Expected", call.query).expected
    await call.store.threads.delete(call.ids["thread_id"], expected=expected)
    return no_content()


class MetadataPatch(OpenBody, frozen=True, kw_only=True):
    """A JSON merge patch (RFC 7396) of the further keys of the metadata: null removes a key."""

    set_by_the_store = SET_BY_THE_STORE


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/threads",
        summary="List the ids of threads.",
        action="read",
        owner=FILTERED,
        query=ListThreads,
        answers={200: ThreadPage},
        handle=ask,
    ),
    Operation(
        method="GET",
        path="/v1/threads/summaries",
        summary="List the titles of the 200 threads without a parent that changed last.",
        action="read",
        owner=FILTERED,
        query=Titles,
        answers={200: tuple[Title, ...]},
        handle=_list_titles,
        details="It shadows a thread called `summaries`, as in tirea.",
    ),
    Operation(
        method="GET",
        path="/v1/search/threads",
        summary="List threads without their messages, in pages by a cursor.",
        action="read",
        owner=FILTERED,
        query=ListThreadSummaries,
        answers={200: ThreadSummaryPage},
        handle=ask,
    ),
    Operation(
        method="POST",
        path="/v1/threads",
        summary="Create a thread.",
        action="append",
        owner=_NEW,
        body=NewThread,
        body_is_optional=True,
        answers={201: ThreadSummary, 200: ThreadSummary},
        handle=_create,
        details=(
            "201: it was created, and `Location` has its id. 200: it existed, and `if_exists` is "
            "`keep`. A principal with an owner can choose an id that no thread, mailbox or run has."
        ),
    ),
    Operation(
        method="GET",
        path="/v1/threads/{thread_id}",
        summary="Load a thread with its messages and its state.",
        action="read",
        owner=OWN_THREAD,
        query=ThreadOptions,
        answers={200: ShownThread},
        handle=_show,
        details="Internal messages need `read_internal`.",
    ),
    Operation(
        method="GET",
        path="/v1/threads/{thread_id}/summary",
        summary="Read a thread without its messages and its state.",
        action="read",
        owner=OWN_THREAD,
        query=LoadThreadSummary,
        answers={200: ThreadSummary},
        handle=ask_for("thread", "thread_id"),
    ),
    Operation(
        method="PATCH",
        path="/v1/threads/{thread_id}",
        summary="Change the labels of a thread: metadata, owner, parent.",
        action="append",
        owner=_LABELS,
        body=UpdateThread,
        body_is_optional=True,
        answers={200: ThreadSummary},
        handle=_update,
    ),
    Operation(
        method="PATCH",
        path="/v1/threads/{thread_id}/metadata",
        summary="Change the metadata of a thread, such as its title.",
        action="append",
        owner=OWN_THREAD,
        body=MetadataPatch,
        answers={200: ThreadMetadata},
        handle=_merge_metadata,
    ),
    Operation(
        method="DELETE",
        path="/v1/threads/{thread_id}",
        summary="Delete a thread; its runs and its mailbox stay.",
        action="delete",
        owner=OWN_THREAD,
        query=Expected,
        answers={204: None},
        handle=_delete,
        details="204 even if it did not exist; but 404 for a principal with an owner.",
    ),
)
