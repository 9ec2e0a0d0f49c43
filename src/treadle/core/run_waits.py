"""Waits: what a run that waits asks, which answers it gets, and how these end its wait."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from treadle.core.commands import Command
from treadle.core.mailbox_pauses import Resume
from treadle.core.mailboxes import MailboxEntry, MailboxState, is_terminal
from treadle.core.run_commands import EndWait
from treadle.core.run_requests import Answer, Interrupt, request_in
from treadle.core.runs import ANSWERED, RunRecord, asks_nobody


class Wait(NamedTuple):
    """How a run waits for an answer."""

    run_id: str
    goes_on: bool
    """Its entry has not ended: it goes on by itself, and no other run takes its place."""
    is_queued: bool
    """Its entry is queued in the mailbox of the thread, which may be paused for it."""
    takes_requests: bool
    """The answer is a request for a run; otherwise its agent looks for a message."""
    entry_id: str | None = None
    """The entry that it goes on with; None if it does not, or names none."""
    may_pause: bool = False
    """Its entry is held, and its holder may pause the mailbox by the time of the answer."""


def wait_of(run: RunRecord, mailbox: MailboxState | None, entry: MailboxEntry | None) -> Wait:
    """Return how a run waits.

    Args:
        run: a run that waits.
        mailbox: the mailbox of its thread.
        entry: the entry that it names, if there is one.
    """
    is_paused = mailbox is not None and mailbox.paused_at is not None
    if run.source_mailbox_entry_id is None:  # nobody can tell what its mailbox is paused for
        takes_requests = not is_paused or bool(Interrupt.asked_by(run))
        return Wait(run.run_id, is_paused, is_paused, takes_requests)
    if entry is None or is_terminal(entry):
        return Wait(run.run_id, goes_on=False, is_queued=False, takes_requests=True)
    is_here = entry.mailbox_id == run.thread_id
    return Wait(
        run.run_id,
        goes_on=True,
        is_queued=is_here and entry.status == "queued",
        takes_requests=requests_run(entry),
        entry_id=entry.entry_id,
        # A pause that is there while the entry is held is somebody else's.
        may_pause=is_here and entry.status == "claimed" and not is_paused,
    )


def ends_of(thread_id: str, waits: Iterable[Wait], answered_by: str | None) -> list[Command[Any]]:
    """Return the commands that end waits, for the batch that brings the answers.

    They fail if another batch has ended a wait before, or if an entry of a run that was to go on
    has ended.
    """
    ends: list[Command[Any]] = []
    for wait in waits:
        end = EndWait(run_id=wait.run_id, answered_by=answered_by)
        if wait.goes_on:
            end = msgspec.structs.replace(end, status="running", entry_id=wait.entry_id)
        else:
            end = msgspec.structs.replace(end, termination_code=ANSWERED)
        ends.append(end)
        if wait.is_queued or wait.may_pause:
            ends.append(Resume(mailbox_id=thread_id))
    return ends


def is_answer_to(answer: Answer, run: RunRecord) -> bool:
    """Return whether a run that waits gets this answer."""
    return answer.run_id in (None, run.run_id) and answer.interrupt_id in asked_ids(run)


def asked_ids(run: RunRecord) -> Sequence[str]:
    """The ids by which a run can be answered; a question without one has that of the run."""
    if asks_nobody(run):
        return ()
    ids = dict.fromkeys(each.id for each in Interrupt.asked_by(run))
    return tuple(ids) or (run.run_id,)


def requests_run(entry: MailboxEntry) -> bool:
    """Return whether the payload of an entry is a request for a run."""
    return request_in(entry) is not None
