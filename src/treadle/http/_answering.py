"""Answers to what runs ask: which runs wait for them, and how these end their wait."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from treadle.core.codec import Json
from treadle.core.mailbox_queries import LoadEntry, LoadMailbox
from treadle.core.mailboxes import MailboxEntry, MailboxState, is_terminal
from treadle.core.run_queries import SearchRuns
from treadle.core.runs import RunRecord
from treadle.http._errors import Refused
from treadle.store.batch import Batch
from treadle.store.store import Store
from treadle.worker import Answer

MOST_WAITING = 200
"""How many of the runs of a thread that wait are looked at, those that changed last."""
ANSWERED = "answered"
"""The termination code of a run whose answer another run has got."""
NOT_WAITING = "not_waiting"
"""The code of the refusal of an answer for which no run waits."""


class Answered(NamedTuple):
    """A run that gets an answer."""

    run_id: str
    goes_on: bool
    """Its entry has not ended: it goes on by itself, and no other run takes its place."""
    was_released: bool
    """Its entry is queued in the mailbox of the thread, which may be paused for it."""


async def find_answered(
    store: Store,
    thread_id: str,
    answers: Sequence[Answer],
    *,
    may_be_old: bool,
    may_be_none: bool,
) -> tuple[tuple[Answer, ...], list[Answered]]:
    """Return the answers that runs of a thread wait for, and these runs.

    Args:
        store: the store.
        thread_id: the thread.
        answers: what a client answers.
        may_be_old: leave out answers that no run waits for.
        may_be_none: also if none is left.

    Raises:
        Refused: no run waits for one of them, and it is not left out.
    """
    (found,) = await store.read(
        # By this time the statuses of a thread's runs have an index.
        SearchRuns(thread_id=thread_id, statuses=("waiting",), by="updated_at", limit=MOST_WAITING)
    )
    asking = {run.run_id: _ids_of(run) for run in found.items}
    asked = frozenset[str]().union(*asking.values())
    known = tuple(each for each in answers if each.interrupt_id in asked)
    missing = next((each for each in answers if each.interrupt_id not in asked), None)
    if missing is not None and not (may_be_old and (known or may_be_none)):
        reason = (
            f"no run of the thread waits for an answer to {missing.interrupt_id!r}: it was "
            "answered, its run was closed, or nobody asked; read the thread again"
        )
        raise Refused(409, NOT_WAITING, reason)
    given = {each.interrupt_id for each in known}
    runs = [run for run in found.items if asking[run.run_id] & given]
    return known, await _answered(store, thread_id, runs)


def end_waits(step: Batch, thread_id: str, answered: Iterable[Answered]) -> None:
    """End the waits of runs that get their answers in a batch; each can be answered once."""
    for run in answered:
        if run.goes_on:
            step.runs.end_wait(run.run_id, status="running")
        else:
            step.runs.end_wait(run.run_id, termination_code=ANSWERED)
        if run.was_released:
            step.mailboxes.resume(thread_id)


def interrupts_of(run: RunRecord) -> list[dict[str, Json]]:
    """Return what a run needs from people, as `treadle.worker.Turn` has written it.

    Some may be broken, as agents write them: those without an id are left out.
    """
    metadata = run.metadata
    interrupts = metadata.get("interrupts") if isinstance(metadata, dict) else None
    if not isinstance(interrupts, list):
        return []
    return [each for each in interrupts if isinstance(each, dict) and _has_id(each)]


def _has_id(interrupt: dict[str, Json]) -> bool:
    return isinstance(interrupt.get("id"), str)


def _ids_of(run: RunRecord) -> frozenset[str]:
    """The ids by which a run can be answered; a question without one has that of the run."""
    return frozenset(str(each["id"]) for each in interrupts_of(run)) or frozenset([run.run_id])


async def _answered(store: Store, thread_id: str, runs: Sequence[RunRecord]) -> list[Answered]:
    if not runs:
        return []
    named = [run.source_mailbox_entry_id for run in runs if run.source_mailbox_entry_id is not None]
    mailbox, *found = await store.read(
        LoadMailbox(mailbox_id=thread_id), *(LoadEntry(entry_id=each) for each in named)
    )
    entries = {each.entry_id: each for each in found if each is not None}
    return [
        _as_answered(run, thread_id, mailbox, entries.get(run.source_mailbox_entry_id or ""))
        for run in runs
    ]


def _as_answered(
    run: RunRecord, thread_id: str, mailbox: MailboxState | None, entry: MailboxEntry | None
) -> Answered:
    if run.source_mailbox_entry_id is None:  # what its mailbox is paused for, nobody can tell
        is_paused = mailbox is not None and mailbox.paused_at is not None
        return Answered(run.run_id, is_paused, is_paused)
    goes_on = entry is not None and not is_terminal(entry)
    was_released = entry is not None and entry.status == "queued" and entry.mailbox_id == thread_id
    return Answered(run.run_id, goes_on, was_released)
