"""Operations on mailboxes: look, send, steer, delete."""

from collections.abc import Callable
from typing import Any, Literal, cast

import msgspec
from starlette.responses import Response

from treadle.core.codec import Json, Model, always_encoded
from treadle.core.ids import EntryId
from treadle.core.limits import Bound, Count, Generation, Headers, Priority, Time
from treadle.core.mailbox_commands import (
    CancelPending,
    EnsureMailbox,
    Interrupt,
    Interrupted,
    Withdraw,
)
from treadle.core.mailbox_deletion import DeleteMailbox, Purge
from treadle.core.mailbox_pauses import Pause, Resume
from treadle.core.mailbox_queries import (
    FoundEntries,
    ListMailboxSummaries,
    LoadMailbox,
    MailboxSummaryPage,
    SearchEntries,
)
from treadle.core.mailbox_reports import EntryReport, ReportEntries
from treadle.core.mailboxes import (
    EntryOrigin,
    EntryPage,
    EntryStatus,
    MailboxEntry,
    MailboxState,
    Sent,
)
from treadle.core.run_queries import FindActiveRun
from treadle.errors import InvalidValue, NotFound
from treadle.http._call import Call
from treadle.http._errors import Refused
from treadle.http._handlers import ask, ask_for, commit, write, write_to
from treadle.http._input import Fields
from treadle.http._operation import Operation
from treadle.http._output import answer
from treadle.http._owners import ALL, OWN_MAILBOX, OWN_THREAD, OwnerRule
from treadle.http._payloads import is_external, is_internal, with_messages
from treadle.http._responses import in_path
from treadle.http._trace_context import with_trace


class NewEntry(Fields, frozen=True, kw_only=True):
    """Work for a mailbox."""

    payload: Json
    """The work, as any JSON value."""
    headers: Headers = msgspec.field(default_factory=dict)
    """Texts by their names beside the payload, such as the context of a trace."""
    dedupe_key: str | None = None
    """If the mailbox has seen it, nothing is written. The header `Idempotency-Key` is the same."""
    priority: Priority = 0
    """Entries of a higher one are claimed first."""
    delay_ms: Time = 0
    """In how many milliseconds it is due."""
    due_at: Time | None = None
    """When it is due, in unix milliseconds, instead of `delay_ms`; at once if that has passed."""
    sender_id: str | None = None
    """Who sends it; for a principal that has an owner, it is the principal's id."""
    origin: EntryOrigin = "external"
    """A principal that has an owner sends from outside only."""


class Number(Model, frozen=True, kw_only=True):
    """How many entries or documents it was."""

    count: Count


class ThreadMailbox(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries of a thread's mailbox are listed, as tirea has it."""

    offset: Bound = 0
    limit: Bound = 50
    """How many at most, clamped to 1..200."""
    status: EntryStatus | Literal["deadletter"] | None = None
    origin: Literal["external", "internal", "none"] = "external"
    """"none" lists both."""
    visibility: Literal["all", "internal", "none"] = "all"
    """Which of the messages in the payloads are shown: those that are not internal, the internal
    ones, or ("none") both."""


class ThreadInterrupt(msgspec.Struct, frozen=True, kw_only=True):
    """A condition of an interrupt."""

    expected: Generation | None = None
    """Only if the mailbox is at this generation; one that does not exist is at 0."""


class InterruptRequested(Model, frozen=True, kw_only=True):
    """A thread's mailbox was interrupted, as tirea says it."""

    status: Literal["interrupt_requested"] = always_encoded("interrupt_requested")
    thread_id: str
    generation: Generation
    cancelled_run_id: str | None = always_encoded(None)
    """The newest active run of the thread, if this has closed it."""
    superseded_pending_count: Count
    superseded_pending_entry_ids: tuple[EntryId, ...] = always_encoded(())


# --- a thread's mailbox, as tirea has it ----------------------------------------------------------


async def _interrupt_thread(call: Call) -> Response:
    thread_id = call.ids["thread_id"]
    (run,) = await call.store.read(FindActiveRun(thread_id=thread_id))
    expected = cast("ThreadInterrupt", call.query).expected
    done = cast(
        "Interrupted", await commit(call, Interrupt(mailbox_id=thread_id, expected=expected))
    )
    ended = tuple(entry.entry_id for entry in done.superseded_entries)
    closed = None if run is None else await call.store.runs.load(run.run_id)
    is_over = closed is not None and closed.termination_code == "superseded"
    requested = InterruptRequested(
        thread_id=thread_id,
        generation=done.mailbox_state.current_generation,
        cancelled_run_id=closed.run_id if closed is not None and is_over else None,
        superseded_pending_count=len(ended),
        superseded_pending_entry_ids=ended,
    )
    return answer(call, requested, 202)


async def _list_of_thread(call: Call) -> Response:
    query = cast("ThreadMailbox", call.query)
    if query.visibility != "all":
        call.require("read_internal")
    page = await call.store.mailboxes.list_entries(
        mailbox_id=call.ids["thread_id"],
        offset=query.offset,
        limit=query.limit,
        status="dead_letter" if query.status == "deadletter" else query.status,
        origin=None if query.origin == "none" else query.origin,
    )
    items = tuple(_as_shown(entry, query.visibility) for entry in page.items)
    return answer(call, msgspec.structs.replace(page, items=items))


_SHOWN: dict[str, Callable[[Json], bool]] = {
    "all": is_external,
    "internal": is_internal,
    "none": lambda _: True,
}


def _as_shown(entry: MailboxEntry, visibility: str) -> MailboxEntry:
    """The entry with those of the messages in its payload that are shown, without their runs."""
    payload = with_messages(entry.payload, _SHOWN[visibility])
    if isinstance(payload, dict) and isinstance(payload.get("messages"), list):
        payload = {**payload, "messages": [*map(_without_run, payload["messages"])]}
    return msgspec.structs.replace(entry, payload=payload)


def _without_run(message: Any) -> Any:
    if not isinstance(message, dict) or not isinstance(message.get("metadata"), dict):
        return message
    metadata = {key: value for key, value in message["metadata"].items() if key != "run_id"}
    rest = {key: value for key, value in message.items() if key != "metadata"}
    return {**rest, "metadata": metadata} if metadata else rest


# --- mailboxes ------------------------------------------------------------------------------------


async def _restrict_sending(call: Call, own: str) -> Call:
    """Let handlers rely on the sender and the origin of an entry: an owner writes any payload."""
    call = await OWN_MAILBOX.apply(call, own)
    body, me = cast("NewEntry", call.body), call.principal.id
    if body.origin != "external":
        raise Refused(403, "forbidden", "origin must be external for an owner; leave it out")
    if body.sender_id not in (None, me):
        raise Refused(403, "forbidden", "sender_id must be your own id; leave it out")
    return msgspec.structs.replace(call, body=msgspec.structs.replace(body, sender_id=me))


_OWN_SENDING = OwnerRule(
    text="the mailbox must be yours, `origin` external, and `sender_id` you",
    apply=_restrict_sending,
    ids=("mailbox_id",),
)


async def _send(call: Call) -> Response:
    body = cast("NewEntry", call.body)
    sent = await call.store.mailboxes.send(
        call.ids["mailbox_id"],
        body.payload,
        headers=with_trace(call.request, body.headers),
        dedupe_key=_dedupe_key(call, body),
        priority=body.priority,
        delay_ms=body.delay_ms,
        due_at=body.due_at,
        sender_id=body.sender_id,
        origin=body.origin,
    )
    location = {"location": f"/v1/entries/{in_path(sent.entry.entry_id)}"}
    return answer(call, sent, 200 if sent.was_known else 201, location)


def _dedupe_key(call: Call, body: NewEntry) -> str | None:
    given = call.request.given.all(b"idempotency-key")
    if len(given) > 1:
        raise InvalidValue("Idempotency-Key", "it comes twice")
    if not given:
        return body.dedupe_key
    key = _text_of(given[0])
    if body.dedupe_key not in (None, key):
        raise InvalidValue("dedupe_key", "it differs from the header Idempotency-Key")
    return key


def _text_of(value: str) -> str:
    """The text of a header: in UTF-8, as programs send it, or else Latin-1, as browsers do."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value


async def _withdraw(call: Call) -> Response:
    command = cast("Withdraw", call.body)
    entry = await commit(call, command)
    if entry is None:
        raise NotFound("mailbox entry", command.dedupe_key)
    return answer(call, entry)


async def _delete(call: Call) -> Response:
    return answer(call, Number(count=await commit(call, call.body)))


async def _ensure(call: Call) -> Response:
    return answer(call, await commit(call, EnsureMailbox(mailbox_id=call.ids["mailbox_id"])))


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/threads/{thread_id}/interrupt",
        summary="Interrupt the mailbox of a thread.",
        action="interrupt",
        owner=OWN_THREAD,
        query=ThreadInterrupt,
        answers={202: InterruptRequested},
        handle=_interrupt_thread,
        details=(
            "It supersedes what is queued and claimed there, and closes its runs, those that wait "
            "for an answer, too. A body is ignored. The thread need not exist, unless the "
            "principal has an owner. 409: its mailbox is at another generation than `expected`."
        ),
    ),
    Operation(
        method="GET",
        path="/v1/threads/{thread_id}/mailbox",
        summary="List the entries of a thread's mailbox, oldest first.",
        action="read",
        owner=OWN_THREAD,
        query=ThreadMailbox,
        answers={200: EntryPage},
        handle=_list_of_thread,
    ),
    Operation(
        method="GET",
        path="/v1/search/mailboxes",
        summary="List mailboxes, with their holders and the number of their entries.",
        action="read",
        owner=ALL,
        query=ListMailboxSummaries,
        answers={200: MailboxSummaryPage},
        handle=ask,
    ),
    Operation(
        method="GET",
        path="/v1/mailboxes/{mailbox_id}",
        summary="Read the state of a mailbox.",
        action="read",
        owner=OWN_MAILBOX,
        query=LoadMailbox,
        answers={200: MailboxState},
        handle=ask_for("mailbox", "mailbox_id"),
    ),
    Operation(
        method="PUT",
        path="/v1/mailboxes/{mailbox_id}",
        summary="Create the state of a mailbox, if it has none.",
        action="send",
        owner=OWN_MAILBOX,
        answers={200: MailboxState},
        handle=_ensure,
    ),
    Operation(
        method="DELETE",
        path="/v1/mailboxes/{mailbox_id}",
        summary="Delete a mailbox with its entries; answers how many these were.",
        action="delete",
        owner=OWN_MAILBOX,
        body=DeleteMailbox,
        body_is_optional=True,
        answers={200: Number},
        handle=_delete,
    ),
    Operation(
        method="GET",
        path="/v1/mailboxes/{mailbox_id}/stats",
        summary="Read what waits, what is held and what fails in a mailbox.",
        action="read",
        owner=OWN_MAILBOX,
        query=ReportEntries,
        answers={200: EntryReport},
        handle=ask,
    ),
    Operation(
        method="GET",
        path="/v1/mailboxes/{mailbox_id}/entries",
        summary="List the entries of a mailbox, newest first, in pages by a cursor.",
        action="read",
        owner=OWN_MAILBOX,
        query=SearchEntries,
        answers={200: FoundEntries},
        handle=ask,
    ),
    Operation(
        method="POST",
        path="/v1/mailboxes/{mailbox_id}/entries",
        summary="Send work to a mailbox.",
        action="send",
        owner=_OWN_SENDING,
        body=NewEntry,
        answers={201: Sent, 200: Sent},
        headers={"Idempotency-Key": "The dedupe key."},
        handle=_send,
        details="201: it was sent. 200: the mailbox had seen the dedupe key. It need not exist.",
    ),
    Operation(
        method="POST",
        path="/v1/mailboxes/{mailbox_id}/interrupt",
        summary="Raise the generation of a mailbox, and supersede what waits or is held there.",
        action="interrupt",
        owner=OWN_MAILBOX,
        body=Interrupt,
        body_is_optional=True,
        answers={200: Interrupted},
        handle=write,
        details=(
            "With `expected`, a request that comes again, or several at once, interrupt once: the "
            "others are answered with 409, `generation_mismatch`."
        ),
    ),
    Operation(
        method="POST",
        path="/v1/mailboxes/{mailbox_id}/pause",
        summary="Pause a mailbox: entries can be sent to it, and none can be claimed.",
        action="pause",
        owner=OWN_MAILBOX,
        body=Pause,
        body_is_optional=True,
        answers={200: MailboxState},
        handle=write,
    ),
    Operation(
        method="POST",
        path="/v1/mailboxes/{mailbox_id}/resume",
        summary="End the pause of a mailbox.",
        action="pause",
        owner=OWN_MAILBOX,
        body=Resume,
        body_is_optional=True,
        answers={200: MailboxState},
        handle=write_to("mailbox", "mailbox_id"),
    ),
    Operation(
        method="POST",
        path="/v1/mailboxes/{mailbox_id}/withdraw",
        summary="Cancel the entry that has a dedupe key, while it is queued.",
        action="cancel",
        owner=OWN_MAILBOX,
        body=Withdraw,
        answers={200: MailboxEntry},
        handle=_withdraw,
    ),
    Operation(
        method="POST",
        path="/v1/mailboxes/{mailbox_id}/cancel-pending",
        summary="Cancel the queued and claimed entries of a mailbox.",
        action="cancel",
        owner=OWN_MAILBOX,
        body=CancelPending,
        body_is_optional=True,
        answers={200: tuple[MailboxEntry, ...]},
        handle=write,
    ),
    Operation(
        method="POST",
        path="/v1/purge/entries",
        summary="Delete the entries that ended before a time; answers how many these were.",
        action="purge",
        owner=ALL,
        body=Purge,
        answers={200: Number},
        handle=_delete,
    ),
)
