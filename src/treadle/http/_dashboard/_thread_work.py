"""Actions on the mailbox of a thread: send, interrupt, pause, resume."""

from typing import Annotated, cast

import msgspec
from msgspec import Meta
from starlette.responses import Response

from treadle.clock import system_clock
from treadle.core.codec import Json, check_json
from treadle.core.mailbox_queries import SearchEntries
from treadle.core.mailboxes import UNFINISHED
from treadle.http._call import Call
from treadle.http._dashboard._interrupting import InterruptForm, generation_of, interrupt
from treadle.http._dashboard._rendering import redirect
from treadle.http._dashboard._thread_page import read_thread, render_thread
from treadle.http._operation import Operation
from treadle.http._output import shown_entry
from treadle.http._owners import OWN_THREAD

_LISTED = 50
"""Most entries that the question before an interrupt lists."""
_LONGEST_MINUTES = 60 * 24 * 366


class SendForm(msgspec.Struct, frozen=True, kw_only=True):
    """Work for the agent."""

    text: str
    key: str | None = None
    """The same for the same form: it is sent once."""


class PauseForm(msgspec.Struct, frozen=True, kw_only=True):
    """How long the mailbox is paused, and why."""

    minutes: Annotated[int, Meta(ge=1, le=_LONGEST_MINUTES)] | None = None
    reason: str | None = None


async def _send(call: Call) -> Response:
    thread_id, form = call.ids["thread_id"], cast("SendForm", call.body)
    sent = await call.store.mailboxes.send(
        thread_id,
        payload_of(form.text),
        sender_id=call.principal.id,
        dedupe_key=None if form.key is None else f"dashboard:{form.key}",
    )
    said = "It was sent already." if sent.was_known else "It was sent: a worker will get it."
    return redirect(call, "threads", thread_id, said=said)


def payload_of(text: str) -> Json:
    """Return the payload that a text means: an object of JSON, or else a text in one.

    Raises:
        InvalidValue: it is an object of JSON that the store does not keep.
    """
    text = text.replace("\r\n", "\n")
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        return {"text": text}
    check_json(value, "text")
    return value


async def _ask_to_interrupt(call: Call) -> Response:
    about, page = await read_thread(
        call,
        SearchEntries(mailbox_id=call.ids["thread_id"], statuses=UNFINISHED, limit=_LISTED),
    )
    internal = call.can("read_internal")
    entries = [shown_entry(entry, internal=internal) for entry in page.items]
    more = page.next_cursor is not None
    return render_thread(
        call,
        "thread_interrupt.html",
        about,
        entries=entries,
        more=more,
        generation=generation_of(about.mailbox),
    )


async def _interrupt(call: Call) -> Response:
    thread_id = call.ids["thread_id"]
    return redirect(call, "threads", thread_id, said=await interrupt(call, thread_id))


async def _pause(call: Call) -> Response:
    thread_id, form = call.ids["thread_id"], cast("PauseForm", call.body)
    until = None if form.minutes is None else system_clock() + form.minutes * 60_000
    await call.store.mailboxes.pause(thread_id, until=until, reason=form.reason)
    return redirect(call, "threads", thread_id, said="The mailbox is paused.")


async def _resume(call: Call) -> Response:
    thread_id = call.ids["thread_id"]
    await call.store.mailboxes.resume(thread_id)
    return redirect(call, "threads", thread_id, said="The mailbox gives its entries again.")


OPERATIONS = (
    Operation(
        method="POST",
        path="/threads/{thread_id}/send",
        summary="Send work to the mailbox of a thread.",
        action="send",
        owner=OWN_THREAD,
        form=SendForm,
        handle=_send,
    ),
    Operation(
        method="GET",
        path="/threads/{thread_id}/interrupt",
        summary="Show what an interrupt would supersede.",
        action="interrupt",
        owner=OWN_THREAD,
        handle=_ask_to_interrupt,
    ),
    Operation(
        method="POST",
        path="/threads/{thread_id}/interrupt",
        summary="Interrupt the mailbox of a thread.",
        action="interrupt",
        owner=OWN_THREAD,
        form=InterruptForm,
        handle=_interrupt,
    ),
    Operation(
        method="POST",
        path="/threads/{thread_id}/pause",
        summary="Pause the mailbox of a thread.",
        action="pause",
        owner=OWN_THREAD,
        form=PauseForm,
        body_is_optional=True,
        handle=_pause,
    ),
    Operation(
        method="POST",
        path="/threads/{thread_id}/resume",
        summary="End the pause of the mailbox of a thread.",
        action="pause",
        owner=OWN_THREAD,
        handle=_resume,
    ),
)
