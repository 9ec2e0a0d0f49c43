"""Runs that wait for a human: their questions, and how they get their answers."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from treadle.core.mailbox_queries import LoadEntry, LoadMailbox
from treadle.core.mailboxes import MailboxEntry, MailboxState, is_terminal
from treadle.core.runs import RunRecord
from treadle.http._answering import interrupts_of
from treadle.store.store import Store

Way: TypeAlias = Literal["pause", "request", "resumed"]
"""How a run gets its answer; see `_thread_answers`. "resumed": its entry is for workers again."""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A run that waits for somebody."""

    run: RunRecord
    questions: tuple[str, ...]
    kind: Literal["question", "reason"] = "question"
    """The kind of the questions, for the hook that redacts; the reason of a pause may be one."""
    way: Way | None
    """How it gets its answer; None: only its agent knows."""


async def read_waiting(store: Store, runs: Sequence[RunRecord]) -> list[Waiting]:
    """Return what runs wait for, in their order."""
    entry_ids = [run.source_mailbox_entry_id for run in runs]
    found = await store.read(
        *(LoadMailbox(mailbox_id=run.thread_id) for run in runs),
        *(LoadEntry(entry_id=entry_id) for entry_id in entry_ids if entry_id is not None),
    )
    mailboxes, entries = found[: len(runs)], found[len(runs) :]
    # An entry of another mailbox says nothing about the run.
    by_mailbox = {(each.mailbox_id, each.entry_id): each for each in entries if each is not None}
    return [
        _waiting(run, mailbox, by_mailbox.get((run.thread_id, run.source_mailbox_entry_id or "")))
        for run, mailbox in zip(runs, mailboxes, strict=True)
    ]


def _waiting(run: RunRecord, mailbox: MailboxState | None, entry: MailboxEntry | None) -> Waiting:
    """What a run waits for, by the mailbox of its thread and the entry that it works on."""
    questions = tuple(
        interrupt["message"]
        for interrupt in interrupts_of(run)
        if isinstance(interrupt.get("message"), str)
    )
    if mailbox is not None and mailbox.paused_at is not None:
        if questions or mailbox.pause_reason is None:
            return Waiting(run=run, questions=questions, way="pause")
        return Waiting(run=run, questions=(mailbox.pause_reason,), kind="reason", way="pause")
    if entry is not None and not is_terminal(entry):
        way: Way | None = "resumed" if entry.status == "queued" else None
    else:
        way = "request" if interrupts_of(run) else None
    return Waiting(run=run, questions=questions, way=way)
