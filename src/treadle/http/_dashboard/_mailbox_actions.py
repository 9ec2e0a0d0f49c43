"""What can be done to a mailbox: send, pause, resume, interrupt, cancel what waits."""

from typing import Literal, TypeAlias, cast

import msgspec
from starlette.responses import Response

from treadle.clock import system_clock
from treadle.core.entry_groups import CountGroups
from treadle.core.limits import Generation
from treadle.core.mailbox_commands import CancelPending, Interrupt, Interrupted
from treadle.core.mailbox_pauses import Pause, Resume, is_paused
from treadle.core.mailbox_queries import LoadMailbox, SearchEntries
from treadle.core.mailboxes import UNFINISHED, MailboxEntry, MailboxState
from treadle.errors import GenerationMismatch, InvalidValue
from treadle.http._call import Call
from treadle.http._dashboard._confirming import confirm
from treadle.http._dashboard._entry_actions import counted
from treadle.http._dashboard._mailbox import SendForm, show_mailbox
from treadle.http._dashboard._rendering import redirect, url
from treadle.http._dashboard._thread_work import payload_of
from treadle.http._handlers import commit
from treadle.http._operation import Operation
from treadle.http._output import shown_entry
from treadle.http._owners import OWN_MAILBOX

_FIRST = 10
"""How many entries the pages that ask show."""
_LONGEST_DRAFT = 50_000
"""Most characters of a text that the page shows again if it cannot be sent."""

Length: TypeAlias = Literal["15min", "1h", "1d", "7d"]
_LENGTHS: dict[Length, int] = {
    "15min": 900_000,
    "1h": 3_600_000,
    "1d": 86_400_000,
    "7d": 604_800_000,
}
"""Lengths of pauses in milliseconds."""


class PageForm(msgspec.Struct, frozen=True, kw_only=True):
    """The page that has the form, and that is shown again afterwards."""

    page: Literal["mailboxes", "threads"] = "mailboxes"
    """The page of the mailbox, or of the thread with its id."""


class PauseForm(PageForm, frozen=True, kw_only=True):
    """How a mailbox is paused."""

    length: Length | None = None
    """For how long; None: until it is resumed."""
    reason: str | None = None


class InterruptForm(PageForm, frozen=True, kw_only=True):
    """The mailbox that the page that asked has shown."""

    generation: Generation = 0
    """Its generation: a form that is sent twice interrupts once."""


# --- send -----------------------------------------------------------------------------------------


async def _send(call: Call) -> Response:
    mailbox_id, form = call.ids["mailbox_id"], cast("SendForm", call.body)
    try:
        sent = await call.store.mailboxes.send(
            mailbox_id,
            payload_of(form.text),
            sender_id=call.principal.id,
            delay_ms=form.delay_s * 1_000,
            priority=form.priority,
            dedupe_key=form.dedupe_key,
        )
    except InvalidValue as error:
        draft = form if len(form.text) <= _LONGEST_DRAFT else None
        return await show_mailbox(call, draft=draft, mistake=str(error))
    said = "It was sent already." if sent.was_known else "It was sent."
    return redirect(call, "mailboxes", mailbox_id, said=said)


# --- pause and resume -----------------------------------------------------------------------------


async def _pause(call: Call) -> Response:
    mailbox_id, form = call.ids["mailbox_id"], cast("PauseForm", call.body)
    until = None if form.length is None else system_clock() + _LENGTHS[form.length]
    await commit(call, Pause(mailbox_id=mailbox_id, until=until, reason=form.reason))
    said = "The mailbox is paused. A worker may finish what it holds."
    return redirect(call, form.page, mailbox_id, said=said)


async def _resume(call: Call) -> Response:
    mailbox_id, form = call.ids["mailbox_id"], cast("PageForm", call.body)
    await commit(call, Resume(mailbox_id=mailbox_id))
    return redirect(call, form.page, mailbox_id, said="The mailbox is not paused.")


# --- interrupt and cancel -------------------------------------------------------------------------


class _Unfinished(msgspec.Struct, frozen=True):
    """What has not ended in a mailbox."""

    state: MailboxState | None
    is_paused: bool
    number: str
    """How many entries it is, in words."""
    first: list[MailboxEntry]


async def _unfinished(call: Call) -> _Unfinished:
    mailbox_id = call.ids["mailbox_id"]
    state, counts, page = await call.store.read(
        LoadMailbox(mailbox_id=mailbox_id),
        CountGroups(mailbox_id=mailbox_id),
        SearchEntries(mailbox_id=mailbox_id, statuses=UNFINISHED, limit=_FIRST),
    )
    queued = counts.due + counts.scheduled + counts.retrying
    at_least = "at least " if {"due", "scheduled", "retrying", "claimed"} & {*counts.more} else ""
    internal = call.can("read_internal")
    return _Unfinished(
        state=state,
        is_paused=is_paused(state, counts.at),
        number=f"{at_least}{counted(queued + counts.claimed)}",
        first=[shown_entry(entry, internal=internal) for entry in page.items],
    )


async def _ask_to_interrupt(call: Call) -> Response:
    mailbox_id, found = call.ids["mailbox_id"], await _unfinished(call)
    generation, page = _generation_of(found.state), cast("PageForm", call.query).page
    effects = [
        f"Its generation becomes {generation + 1:,}: a worker that holds an older entry can write"
        " nothing more.",
        f"What is queued or claimed is superseded, {found.number}, and its runs are closed."
        " Entries that are sent afterwards run as usual.",
    ]
    if found.is_paused:
        effects.append("The mailbox is paused; its pause ends, too.")
    return confirm(
        call,
        question="Interrupt the mailbox?",
        effects=effects,
        button="Interrupt it",
        action=("mailboxes", mailbox_id, "interrupt"),
        fields={"generation": generation, "page": page},
        back=url(call.request, page, mailbox_id),
        section=page,
        entries=found.first,
    )


async def _interrupt(call: Call) -> Response:
    mailbox_id, form = call.ids["mailbox_id"], cast("InterruptForm", call.body)
    command = Interrupt(mailbox_id=mailbox_id, expected=form.generation)
    try:
        done = cast("Interrupted", await commit(call, command))
    except GenerationMismatch:
        said = "Nothing was done: the mailbox has been interrupted meanwhile."
        return redirect(call, form.page, mailbox_id, said=said)
    said = f"The mailbox was interrupted: {counted(len(done.superseded_entries))} superseded."
    return redirect(call, form.page, mailbox_id, said=said)


def _generation_of(state: MailboxState | None) -> int:
    """The generation of a mailbox, which may not exist yet."""
    return 0 if state is None else state.current_generation


async def _ask_to_cancel(call: Call) -> Response:
    mailbox_id, found = call.ids["mailbox_id"], await _unfinished(call)
    is_empty = not found.first
    effect = (
        "What is queued or claimed ends, and so do its runs; a worker that holds an entry loses it."
        " Entries that are sent meanwhile are cancelled, too. This cannot be undone."
    )
    return confirm(
        call,
        question="There is nothing to do" if is_empty else f"Cancel {found.number}?",
        effects=["Nothing waits in the mailbox, and nothing is held."] if is_empty else [effect],
        button="" if is_empty else f"Cancel {found.number}",
        action=("mailboxes", mailbox_id, "cancel-pending"),
        back=url(call.request, "mailboxes", mailbox_id),
        section="mailboxes",
        entries=found.first,
    )


async def _cancel(call: Call) -> Response:
    mailbox_id = call.ids["mailbox_id"]
    ended = await commit(call, CancelPending(mailbox_id=mailbox_id))
    said = f"{counted(len(ended))} cancelled. Nothing waits in the mailbox."
    return redirect(call, "mailboxes", mailbox_id, said=said)


_PATH = "/mailboxes/{mailbox_id}"

OPERATIONS = (
    Operation(
        method="POST",
        path=f"{_PATH}/send",
        summary="Send work to a mailbox.",
        action="send",
        owner=OWN_MAILBOX,
        form=SendForm,
        handle=_send,
    ),
    Operation(
        method="POST",
        path=f"{_PATH}/pause",
        summary="Pause a mailbox.",
        action="pause",
        owner=OWN_MAILBOX,
        form=PauseForm,
        handle=_pause,
    ),
    Operation(
        method="POST",
        path=f"{_PATH}/resume",
        summary="End the pause of a mailbox.",
        action="pause",
        owner=OWN_MAILBOX,
        form=PageForm,
        body_is_optional=True,
        handle=_resume,
    ),
    Operation(
        method="GET",
        path=f"{_PATH}/interrupt",
        summary="Ask whether to interrupt a mailbox.",
        action="interrupt",
        owner=OWN_MAILBOX,
        query=PageForm,
        handle=_ask_to_interrupt,
    ),
    Operation(
        method="POST",
        path=f"{_PATH}/interrupt",
        summary="Interrupt a mailbox.",
        action="interrupt",
        owner=OWN_MAILBOX,
        form=InterruptForm,
        handle=_interrupt,
    ),
    Operation(
        method="GET",
        path=f"{_PATH}/cancel-pending",
        summary="Ask whether to cancel what waits in a mailbox.",
        action="cancel",
        owner=OWN_MAILBOX,
        handle=_ask_to_cancel,
    ),
    Operation(
        method="POST",
        path=f"{_PATH}/cancel-pending",
        summary="Cancel what waits in a mailbox, and what is held.",
        action="cancel",
        owner=OWN_MAILBOX,
        handle=_cancel,
    ),
)
