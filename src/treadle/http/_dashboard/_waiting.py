"""Runs that wait for a human: their questions, and how they get their answers."""

from typing import Literal

import msgspec

from treadle.core.codec import Json
from treadle.core.mailboxes import MailboxState
from treadle.core.runs import RunRecord


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A run that waits for somebody."""

    run: RunRecord
    questions: tuple[str, ...]
    kind: Literal["question", "reason"] = "question"
    """The kind of the questions, for the hook that redacts; the reason of a pause may be one."""
    way: Literal["pause", "request"] | None
    """How it gets its answer; see `_thread_answers`. None: only its agent knows."""


def waiting(run: RunRecord, mailbox: MailboxState | None) -> Waiting:
    """Return what a run waits for.

    Args:
        run: the run.
        mailbox: the mailbox of its thread.
    """
    questions = tuple(
        interrupt["message"]
        for interrupt in interrupts_of(run)
        if isinstance(interrupt.get("message"), str)
    )
    if mailbox is not None and mailbox.paused_at is not None:
        if questions or mailbox.pause_reason is None:
            return Waiting(run=run, questions=questions, way="pause")
        return Waiting(run=run, questions=(mailbox.pause_reason,), kind="reason", way="pause")
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
