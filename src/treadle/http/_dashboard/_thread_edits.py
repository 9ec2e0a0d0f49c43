"""Actions that change a thread: its title, what is said in it, forks of it, and its end."""

from typing import Any, Literal, cast

import msgspec
from msgspec import UNSET
from starlette.responses import Response

from treadle.clock import new_id
from treadle.core.codec import Json
from treadle.core.escaping import printable
from treadle.core.ids import ThreadId
from treadle.core.limits import Length, Version
from treadle.core.messages import Message
from treadle.core.thread_queries import ListMessages
from treadle.errors import AlreadyExists, InvalidValue, NotFound
from treadle.http._call import Call
from treadle.http._dashboard._conversation import conversation
from treadle.http._dashboard._rendering import redirect
from treadle.http._dashboard._thread_page import read_thread, render_thread
from treadle.http._operation import Operation
from treadle.http._owners import OWN_THREAD, require_free_thread

_PREVIEW = 10
"""How many messages a preview shows."""


class TitleForm(msgspec.Struct, frozen=True, kw_only=True):
    """A new title; empty removes it."""

    title: str | None = None


class MessageForm(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a user."""

    text: str
    key: str | None = None
    """The same for the same form: it is appended once."""


class CutQuery(msgspec.Struct, frozen=True, kw_only=True):
    """After how many messages the thread is cut."""

    at: Length


class TruncateForm(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages stay, and the version that the preview has shown."""

    at: Length
    expected: Version


class ForkForm(TruncateForm, frozen=True, kw_only=True):
    """How many messages are copied, and the id of the new thread; one is made by default."""

    new: ThreadId | None = None
    made: ThreadId | None = None
    """The id that is used if none is given, made with the form: sent twice, it forks once."""
    state: Literal["then", "now"] = "then"
    """The state of the new thread: as it was at that message, or as it is."""


class DeleteForm(msgspec.Struct, frozen=True, kw_only=True):
    """The id of the thread, typed by hand, as it is or as pages show it."""

    confirmation: str | None = None


async def _set_title(call: Call) -> Response:
    thread_id, title = call.ids["thread_id"], cast("TitleForm", call.body).title
    await call.store.threads.update(thread_id, metadata={"title": title})
    said = "The title was removed." if title is None else "The title was changed."
    return redirect(call, "threads", thread_id, said=said)


async def _append(call: Call) -> Response:
    thread_id, form = call.ids["thread_id"], cast("MessageForm", call.body)
    text = form.text.replace("\r\n", "\n")
    await call.store.threads.append(thread_id, Message.user(text, id=form.key))
    return redirect(call, "threads", thread_id, said="The message was added.")


async def _preview(call: Call, template: str, at: int, **values: Any) -> Response:
    internal = call.can("read_internal")
    shown = ListMessages(
        thread_id=call.ids["thread_id"],
        limit=_PREVIEW,
        visibility=None if internal else "all",
    )
    about, kept, rest = await read_thread(
        call,
        msgspec.structs.replace(shown, before=at, order="desc"),
        msgspec.structs.replace(shown, after=at - 1),
    )
    return render_thread(
        call,
        template,
        about,
        at=min(at, about.summary.message_count),
        kept=conversation(reversed(kept.messages)),
        rest=conversation(rest.messages),
        left_out=max(about.summary.message_count - at, 0),
        **values,
    )


async def _preview_truncation(call: Call) -> Response:
    return await _preview(call, "thread_truncate.html", cast("CutQuery", call.query).at)


async def _truncate(call: Call) -> Response:
    thread_id, form = call.ids["thread_id"], cast("TruncateForm", call.body)
    done = await call.store.threads.truncate(thread_id, keep=form.at, expected=form.expected)
    said = f"{len(done.removed):,} messages were removed."
    return redirect(call, "threads", thread_id, said=said)


async def _preview_fork(call: Call) -> Response:
    at = cast("CutQuery", call.query).at
    return await _preview(call, "thread_fork.html", at, draft=None, made=new_id())


async def _fork(call: Call) -> Response:
    form, own = cast("ForkForm", call.body), call.principal.own
    made = form.made or new_id()
    new = form.new or made
    state = UNSET if form.state == "then" else await _present_state(call)
    try:
        if own is not None:
            await require_free_thread(call.store, new)
        await call.store.threads.fork(
            call.ids["thread_id"],
            new,
            at=form.at,
            state=state,
            resource_id=UNSET if own is None else own,
            expected=form.expected,
        )
    except AlreadyExists:
        if new != form.made:
            raise
    except InvalidValue as error:
        if error.where != "forkThread.state":
            raise
        return await _preview(call, "thread_fork.html", form.at, draft=form, made=made, status=400)
    return redirect(call, "threads", new, said="This is the new thread.")


async def _present_state(call: Call) -> Json:
    """The state of the thread; if it changes meanwhile, the version that the form expects does."""
    thread_id = call.ids["thread_id"]
    found = await call.store.threads.load(thread_id)
    if found is None:
        raise NotFound("thread", thread_id)
    return await call.rebuilding.state_of(found.thread)


async def _ask_to_delete(call: Call) -> Response:
    about, *_ = await read_thread(call)
    return render_thread(call, "thread_delete.html", about)


async def _delete(call: Call) -> Response:
    thread_id = call.ids["thread_id"]
    if cast("DeleteForm", call.body).confirmation not in (thread_id, printable(thread_id)):
        raise InvalidValue("confirmation", "type the id of the thread exactly as it is shown")
    await call.store.threads.delete(thread_id)
    return redirect(call, "threads", said="The thread was deleted.")


OPERATIONS = (
    Operation(
        method="POST",
        path="/threads/{thread_id}/title",
        summary="Change the title of a thread.",
        action="append",
        owner=OWN_THREAD,
        form=TitleForm,
        handle=_set_title,
    ),
    Operation(
        method="POST",
        path="/threads/{thread_id}/messages",
        summary="Append a message of a user.",
        action="append",
        owner=OWN_THREAD,
        form=MessageForm,
        handle=_append,
    ),
    Operation(
        method="GET",
        path="/threads/{thread_id}/truncate",
        summary="Show what a truncation would remove.",
        action="append",
        owner=OWN_THREAD,
        query=CutQuery,
        handle=_preview_truncation,
    ),
    Operation(
        method="POST",
        path="/threads/{thread_id}/truncate",
        summary="Remove the last messages of a thread.",
        action="append",
        owner=OWN_THREAD,
        form=TruncateForm,
        handle=_truncate,
    ),
    Operation(
        method="GET",
        path="/threads/{thread_id}/fork",
        summary="Show what a fork would copy.",
        action="append",
        owner=OWN_THREAD,
        query=CutQuery,
        handle=_preview_fork,
    ),
    Operation(
        method="POST",
        path="/threads/{thread_id}/fork",
        summary="Create a thread from the first messages of another one.",
        action="append",
        owner=OWN_THREAD,
        form=ForkForm,
        handle=_fork,
    ),
    Operation(
        method="GET",
        path="/threads/{thread_id}/delete",
        summary="Ask whether a thread is to be deleted.",
        action="delete",
        owner=OWN_THREAD,
        handle=_ask_to_delete,
    ),
    Operation(
        method="POST",
        path="/threads/{thread_id}/delete",
        summary="Delete a thread, whose id was typed.",
        action="delete",
        owner=OWN_THREAD,
        form=DeleteForm,
        handle=_delete,
    ),
)
