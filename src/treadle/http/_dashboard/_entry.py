"""The page of an entry: what it is, what became of it, and why it does not run."""

from collections.abc import Iterator
from typing import NamedTuple

from starlette.responses import Response

from treadle.core.cursors import Position, cursor_of
from treadle.core.explaining import ExplainEntry
from treadle.core.mailbox_queries import LoadEntry
from treadle.core.mailboxes import MailboxEntry, is_terminal
from treadle.core.run_queries import SearchRuns
from treadle.core.thread_summaries import LoadThreadSummary
from treadle.errors import NotFound
from treadle.http._call import Call
from treadle.http._dashboard._confirming import confirm
from treadle.http._dashboard._entry_actions import CANCEL, ENTRY_ACTIONS, EntryAction, act_on_one
from treadle.http._dashboard._rendering import raw, redirect, render, url
from treadle.http._handlers import Handle
from treadle.http._operation import Operation
from treadle.http._output import shown_entry
from treadle.http._owners import OWN_ENTRY

_KIND = "mailbox entry"
_RUNS = 200
"""How many runs of the thread are looked at for those of an entry."""


class Step(NamedTuple):
    """Something that has become of an entry, or will."""

    name: str
    at: int | None
    """When, in unix milliseconds; None if that is not known."""
    is_ahead: bool = False


async def _show(call: Call) -> Response:
    entry_id = call.ids["entry_id"]
    (explanation,) = await call.store.read(ExplainEntry(entry_id=entry_id))
    if explanation is None:
        raise NotFound(_KIND, entry_id)
    entry, now = explanation.entry, explanation.now
    summary, runs = await call.store.read(
        LoadThreadSummary(thread_id=entry.mailbox_id), _runs_after(entry)
    )
    return render(
        call,
        "entry.html",
        entry=shown_entry(entry, internal=call.can("read_internal")),
        explanation=explanation,
        steps=list(_steps(entry, now)),
        runs=[run for run in runs.items if run.source_mailbox_entry_id == entry_id],
        has_thread=summary is not None,
        now=now,
    )


def _steps(entry: MailboxEntry, now: int) -> Iterator[Step]:
    yield Step("Sent", entry.created_at)
    if not is_terminal(entry) or entry.available_at <= entry.updated_at:
        yield Step("Due", entry.available_at, is_ahead=entry.available_at > now)
    match entry.status:
        case "queued":
            pass
        case "claimed":
            yield Step("Claimed", None)
        case "dead_letter":
            yield Step("Failed for good", entry.updated_at)
        case _:
            yield Step(entry.status.capitalize(), entry.updated_at)


def _runs_after(entry: MailboxEntry) -> SearchRuns:
    """The first runs of its thread that began after an entry was sent: its own are among them."""
    before = Position("created_at", max(entry.created_at - 1, 0), entry.entry_id)
    return SearchRuns(
        thread_id=entry.mailbox_id,
        by="created_at",
        order="asc",
        after=cursor_of(before),
        limit=_RUNS,
    )


async def _show_payload(call: Call) -> Response:
    entry_id = call.ids["entry_id"]
    (entry,) = await call.store.read(LoadEntry(entry_id=entry_id))
    if entry is None:
        raise NotFound(_KIND, entry_id)
    return raw(call, "payload", shown_entry(entry, internal=call.can("read_internal")).payload)


async def _ask_to_cancel(call: Call) -> Response:
    entry_id = call.ids["entry_id"]
    (entry,) = await call.store.read(LoadEntry(entry_id=entry_id))
    if entry is None:
        raise NotFound(_KIND, entry_id)
    holder = " Its holder loses it." if entry.status == "claimed" else ""
    can_be = entry.status in CANCEL.changes
    effect = f"It ends, and so do its runs.{holder} This cannot be undone."
    return confirm(
        call,
        question="Cancel the entry?" if can_be else "There is nothing to do",
        effects=[effect if can_be else "The entry has ended meanwhile."],
        button="Cancel it" if can_be else "",
        action=("entries", entry_id, "cancel"),
        back=url(call.request, "entries", entry_id),
        section="entries",
        entries=[shown_entry(entry, internal=call.can("read_internal"))],
    )


def _act(act: EntryAction) -> Handle:
    async def handle(call: Call) -> Response:
        entry_id = call.ids["entry_id"]
        said = await act_on_one(call.store, act, entry_id)
        return redirect(call, "entries", entry_id, said=said)

    return handle


OPERATIONS = (
    Operation(
        method="GET",
        path="/entries/{entry_id}",
        summary="Show an entry, and why it does not run.",
        action="read",
        owner=OWN_ENTRY,
        handle=_show,
    ),
    Operation(
        method="GET",
        path="/entries/{entry_id}/payload",
        summary="Show the payload of an entry, all of it.",
        action="read",
        owner=OWN_ENTRY,
        handle=_show_payload,
    ),
    Operation(
        method="GET",
        path="/entries/{entry_id}/cancel",
        summary="Ask whether to cancel an entry.",
        action="cancel",
        owner=OWN_ENTRY,
        handle=_ask_to_cancel,
    ),
    *(
        Operation(
            method="POST",
            path=f"/entries/{{entry_id}}/{act.right}",
            summary=f"{act.verb} an entry.",
            action=act.right,
            owner=OWN_ENTRY,
            handle=_act(act),
        )
        for act in ENTRY_ACTIONS
    ),
)
