"""Closing: runs end together with their entry, if it is not accepted, and at a Stop.

A mailbox is that of the thread with its id. So an interrupt of it closes the runs of this thread
that wait for an answer, even if their entries were accepted long ago. An answer is too late then.
"""

from collections.abc import Collection, Iterable
from typing import Protocol

import msgspec

from treadle.core.mailboxes import EntryStatus, MailboxEntry, MailboxRows, failed
from treadle.core.runs import ANSWERED, RunRecord, RunRows


class ClosingRows(MailboxRows, RunRows, Protocol):
    """The rows that are needed to end an entry."""

    def find_runs_of(self, entry: MailboxEntry) -> Iterable[RunRecord]:
        """The active runs whose `source_mailbox_entry_id` is that of the entry, in no order."""
        ...

    def find_waiting_runs(self, thread_id: str) -> Iterable[RunRecord]:
        """The waiting runs of a thread that have a `source_mailbox_entry_id`, in no order."""
        ...


def end(
    rows: ClosingRows, entry: MailboxEntry, status: EntryStatus, reason: str, now: int
) -> MailboxEntry:
    """End an entry that is not accepted, close its runs, and return the entry after that."""
    ended = failed(entry, status, now, reason)
    rows.entries.put(entry.entry_id, ended)
    close_runs(rows, entry, status, reason, now)
    return ended


def close_runs(
    rows: ClosingRows, entry: MailboxEntry, status: EntryStatus, reason: str, now: int
) -> None:
    """Close the active runs of an entry that ends in `status`, which becomes their code."""
    if not entry.closes_runs:
        return
    for run in rows.find_runs_of(entry):
        _close(rows, run, status, reason, now)


def close_waiting(
    rows: ClosingRows,
    thread_id: str,
    reason: str,
    now: int,
    *,
    among: Collection[str] | None = None,
) -> None:
    """Close the runs of a thread that an entry has begun and that wait, as superseded.

    With `among`, only those of these ids.
    """
    for run in tuple(rows.find_waiting_runs(thread_id)):
        if among is None or run.run_id in among:
            _close(rows, run, "superseded", reason, now)


def close_answered(rows: ClosingRows, entry: MailboxEntry, now: int) -> None:
    """Close the runs of an accepted entry that were to go on after an answer, and did not.

    They were answered while the entry was held, and its holder has not looked again.
    """
    if not entry.closes_runs:
        return
    for run in tuple(rows.find_runs_of(entry)):
        if run.has_answer:
            _close(rows, run, ANSWERED, "", now)


def _close(rows: RunRows, run: RunRecord, code: str, reason: str, now: int) -> None:
    closed = msgspec.structs.replace(
        run,
        status="done",
        termination_code=code,
        termination_detail=reason or None,
        updated_at=now,
        has_answer=False,
    )
    rows.runs.put(run.run_id, closed)
