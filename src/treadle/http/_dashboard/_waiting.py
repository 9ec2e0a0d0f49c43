"""Runs that wait for a human: their questions, and how they get their answers."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from treadle.core.mailbox_queries import LoadEntry, LoadMailbox
from treadle.core.mailboxes import MailboxEntry, MailboxState
from treadle.core.run_requests import Interrupt
from treadle.core.run_waits import Wait, wait_of
from treadle.core.runs import RunRecord, asks_nobody
from treadle.store.store import Store

Way: TypeAlias = Literal["pause", "request", "resumed", "work"]
"""How a run gets its answer; see `_thread_answers`. "resumed": its entry is for workers again.
"work": it waits for other work, and asks nothing.
"""
ASKING: frozenset[Way | None] = frozenset(("pause", "request", None))
"""The ways of runs that have a question."""


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
    by_id = {each.entry_id: each for each in entries if each is not None}
    return [
        _waiting(run, mailbox, by_id.get(run.source_mailbox_entry_id or ""))
        for run, mailbox in zip(runs, mailboxes, strict=True)
    ]


def _waiting(run: RunRecord, mailbox: MailboxState | None, entry: MailboxEntry | None) -> Waiting:
    """What a run waits for, by the mailbox of its thread and the entry that it works on."""
    interrupts = Interrupt.asked_by(run)
    questions = tuple(each.message for each in interrupts if each.message is not None)
    wait = wait_of(run, mailbox, entry)
    way = _way_of(run, wait, mailbox)
    reason = mailbox.pause_reason if way == "pause" and mailbox is not None else None
    if questions or reason is None:
        return Waiting(run=run, questions=questions, way=way)
    return Waiting(run=run, questions=(reason,), kind="reason", way=way)


def _way_of(run: RunRecord, wait: Wait, mailbox: MailboxState | None) -> Way | None:
    if asks_nobody(run):
        return "work"
    if not wait.goes_on:
        return "request" if Interrupt.asked_by(run) else None
    if not wait.is_queued:
        return None
    return "resumed" if mailbox is None or mailbox.paused_at is None else "pause"
