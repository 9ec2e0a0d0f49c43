"""What all pages of a thread have in common: its labels, its mailbox, and what waits in it."""

from typing import Any, Literal

import msgspec
from starlette.responses import Response

from treadle.clock import system_clock
from treadle.core.codec import Json
from treadle.core.heads import LoadHead, ThreadSummary
from treadle.core.mailbox_queries import LoadMailbox
from treadle.core.mailboxes import MailboxState
from treadle.core.pauses import is_paused
from treadle.core.queries import Query
from treadle.core.run_queries import SearchRuns
from treadle.core.runs import RunRecord
from treadle.errors import NotFound
from treadle.http._call import Call
from treadle.http._dashboard._rendering import render

_ACTIVE = 10
"""Most active runs that are looked at."""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A run that waits for somebody."""

    run: RunRecord
    questions: tuple[str, ...]
    way: Literal["pause", "request"] | None
    """How it gets its answer; see `_thread_answers`. None: only its agent knows."""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """A thread, and what goes on in it."""

    head: ThreadSummary
    mailbox: MailboxState | None
    is_paused: bool
    waiting: tuple[Waiting, ...]
    running: tuple[RunRecord, ...]


async def read_thread(call: Call, *queries: Query[Any]) -> tuple[About, *tuple[Any, ...]]:
    """Read the thread that the path names, and answer queries from the same snapshot.

    Raises:
        NotFound: there is no such thread.
    """
    thread_id = call.ids["thread_id"]
    head, mailbox, active, *answers = await call.store.read(
        LoadHead(thread_id=thread_id),
        LoadMailbox(mailbox_id=thread_id),
        SearchRuns(thread_id=thread_id, statuses=("waiting", "running"), limit=_ACTIVE),
        *queries,
    )
    if head is None:
        raise NotFound("thread", thread_id)
    about = About(
        head=head,
        mailbox=mailbox,
        is_paused=is_paused(mailbox, system_clock()),
        waiting=tuple(_waiting(run, mailbox) for run in active.items if run.status == "waiting"),
        running=tuple(run for run in active.items if run.status == "running"),
    )
    return about, *answers


def render_thread(call: Call, template: str, about: About, **values: Any) -> Response:
    """Return a page of the thread."""
    return render(call, template, about=about, head=about.head, **values)


def _waiting(run: RunRecord, mailbox: MailboxState | None) -> Waiting:
    questions = tuple(
        interrupt["message"]
        for interrupt in interrupts_of(run)
        if isinstance(interrupt.get("message"), str)
    )
    if mailbox is not None and mailbox.paused_at is not None:
        reason = () if mailbox.pause_reason is None else (mailbox.pause_reason,)
        return Waiting(run=run, questions=questions or reason, way="pause")
    way: Literal["request"] | None = "request" if interrupts_of(run) else None
    return Waiting(run=run, questions=questions, way=way)


def interrupts_of(run: RunRecord) -> list[dict[str, Json]]:
    """Return what a run needs from people, as `treadle.worker.Turn` has written it."""
    metadata = run.metadata
    interrupts = metadata.get("interrupts") if isinstance(metadata, dict) else None
    if not isinstance(interrupts, list):
        return []
    return [each for each in interrupts if isinstance(each, dict) and _has_id(each)]


def _has_id(interrupt: dict[str, Json]) -> bool:
    return isinstance(interrupt.get("id"), str)
