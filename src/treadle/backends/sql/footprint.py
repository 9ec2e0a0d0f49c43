"""What a group of batches touches: the rows to be read before any of them is applied."""

from collections.abc import Sequence
from typing import assert_never

import msgspec

from treadle.backends.sql.program import Read
from treadle.backends.sql.rows import id_list, pair_list
from treadle.core.commands import (
    Ack,
    AppendThread,
    Cancel,
    CancelPending,
    Command,
    Commands,
    CreateThread,
    DeadLetter,
    DeleteRun,
    DeleteThread,
    Enqueue,
    EnsureMailbox,
    EnsureThread,
    ExtendLease,
    Hold,
    Interrupt,
    Nack,
    Purge,
    Release,
    Requeue,
    RestoreEntry,
    RestoreMailbox,
    RestoreThread,
    SaveThread,
    Send,
    Supersede,
    UpsertRun,
)


class Footprint(msgspec.Struct):
    """Ids of rows, by what is wanted of them."""

    threads: set[str] = msgspec.field(default_factory=set)
    messages: set[tuple[str, str]] = msgspec.field(default_factory=set)
    """Threads' ids and ids of messages that they may have."""
    runs: set[str] = msgspec.field(default_factory=set)
    entries: set[str] = msgspec.field(default_factory=set)
    """Entries, and their mailboxes with them."""
    mailboxes: set[str] = msgspec.field(default_factory=set)
    duplicates: set[tuple[str, str]] = msgspec.field(default_factory=set)
    """Mailboxes' ids and dedupe keys that they may have seen."""
    rivals: set[str] = msgspec.field(default_factory=set)
    """Entries beside which all is wanted that is claimed in their mailboxes."""
    unfinished: set[str] = msgspec.field(default_factory=set)
    """Mailboxes of which all is wanted that has not ended."""
    ended_before: set[int] = msgspec.field(default_factory=set)
    """Times before which entries that have ended are to be purged."""

    def reads(self) -> tuple[Read, ...]:
        """The queries that bring the rows; each is known by its name, and locks what it brings.

        Mailboxes come first, then threads and runs: who takes locks in one order waits in no
        circle. What belongs to them is read after that, under their locks.
        """
        reads: list[Read] = []
        if self.mailboxes or self.entries:
            ids = {"ids": id_list(self.mailboxes), "entries": id_list(self.entries)}
            reads.append(Read("load_mailboxes_for_update", ids))
        for name, keys in (
            ("load_threads_for_update", self.threads),
            ("load_runs_for_update", self.runs),
            ("load_entries", self.entries),
            ("load_claimed_beside", self.rivals),
            ("load_unfinished", self.unfinished),
        ):
            if keys:
                reads.append(Read(name, {"ids": id_list(keys)}))
        for name, pairs in (
            ("load_message_ids", self.messages),
            ("load_duplicates", self.duplicates),
        ):
            if pairs:
                reads.append(Read(name, {"pairs": pair_list(pairs)}))
        return tuple(reads)


def footprint_of(batches: Sequence[Commands]) -> Footprint:
    """What the batches touch together."""
    footprint = Footprint()
    for batch in batches:
        for command in batch:
            _add(footprint, command)
    return footprint


def _add(footprint: Footprint, command: Command) -> None:  # noqa: PLR0912
    match command:
        case CreateThread(thread=thread) | EnsureThread(thread=thread) | SaveThread(thread=thread):
            footprint.threads.add(thread.id)
        case DeleteThread(thread_id=thread_id):
            footprint.threads.add(thread_id)
        case AppendThread():
            _add_append(footprint, command)
        case UpsertRun(run=run):
            footprint.runs.add(run.run_id)
        case DeleteRun(run_id=run_id):
            footprint.runs.add(run_id)
        case Enqueue(entry=entry):
            _add_arrival(footprint, entry.entry_id, entry.mailbox_id, entry.dedupe_key)
        case Send():
            _add_arrival(footprint, command.entry_id, command.mailbox_id, command.dedupe_key)
        case EnsureMailbox(mailbox_id=mailbox_id):
            footprint.mailboxes.add(mailbox_id)
        case CancelPending(mailbox_id=mailbox_id) | Interrupt(mailbox_id=mailbox_id):
            footprint.mailboxes.add(mailbox_id)
            footprint.unfinished.add(mailbox_id)
        case (
            Hold(entry_id=entry_id)
            | Ack(entry_id=entry_id)
            | Nack(entry_id=entry_id)
            | DeadLetter(entry_id=entry_id)
            | Release(entry_id=entry_id)
            | Cancel(entry_id=entry_id)
            | Supersede(entry_id=entry_id)
            | Requeue(entry_id=entry_id)
        ):
            footprint.entries.add(entry_id)
        case ExtendLease(entry_id=entry_id):
            footprint.entries.add(entry_id)
            footprint.rivals.add(entry_id)
        case RestoreThread(head=head):
            footprint.threads.add(head.thread.id)
        case RestoreEntry(entry=entry):
            _add_arrival(footprint, entry.entry_id, entry.mailbox_id, None)
        case RestoreMailbox(mailbox=mailbox):
            footprint.mailboxes.add(mailbox.mailbox_id)
        case Purge(older_than=older_than):
            footprint.ended_before.add(older_than)
        case _:
            assert_never(command)


def _add_append(footprint: Footprint, command: AppendThread) -> None:
    footprint.threads.add(command.thread_id)
    if command.changes.run_id:
        footprint.runs.add(command.changes.run_id)
    for message in command.changes.messages:
        if message.id is not None:
            footprint.messages.add((command.thread_id, message.id))


def _add_arrival(
    footprint: Footprint, entry_id: str, mailbox_id: str, dedupe_key: str | None
) -> None:
    footprint.entries.add(entry_id)
    footprint.mailboxes.add(mailbox_id)
    if dedupe_key is not None:
        footprint.duplicates.add((mailbox_id, dedupe_key))
