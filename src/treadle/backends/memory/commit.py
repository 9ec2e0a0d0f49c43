"""Applying a batch to tables: all of its commands, in order, or none."""

from typing import assert_never

from treadle.backends.memory import mailboxes, runs, threads
from treadle.backends.memory.tables import Change, Tables
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
    Receipt,
    Release,
    Requeue,
    RestoreEntry,
    RestoreMailbox,
    RestoreThread,
    Result,
    SaveThread,
    Send,
    Supersede,
    UpsertRun,
    describe,
    name_failure,
)
from treadle.core.mailboxes import ClaimRequest, MailboxEntry
from treadle.errors import TreadleError


def apply_batch(tables: Tables, batch: Commands, now: int) -> tuple[Receipt, list[Change]]:
    """Apply all commands, or none and raise the error of the one that failed."""
    results: list[Result] = []
    for position, command in enumerate(batch, start=1):
        try:
            results.append(_apply(tables, command, now))
        except TreadleError as error:
            tables.rollback()
            name_failure(error, position, len(batch), describe(command))
            raise
        except BaseException:
            tables.rollback()
            raise
    return Receipt(results=tuple(results)), tables.commit()


def apply_claim(
    tables: Tables, request: ClaimRequest, now: int
) -> tuple[tuple[MailboxEntry, ...], list[Change]]:
    """Put due entries into the consumer's hands."""
    try:
        entries = mailboxes.claim(tables, request, now if request.now is None else request.now)
    except BaseException:
        tables.rollback()
        raise
    return entries, tables.commit()


def _apply(tables: Tables, command: Command, clock: int) -> Result:
    now = getattr(command, "now", None)
    return _dispatch(tables, command, clock if now is None else now)


def _dispatch(tables: Tables, command: Command, now: int) -> Result:  # noqa: PLR0911, PLR0912
    match command:
        case CreateThread():
            return threads.create(tables, command, now)
        case EnsureThread():
            return threads.ensure(tables, command, now)
        case AppendThread():
            return threads.append(tables, command, now)
        case SaveThread():
            return threads.save(tables, command, now)
        case DeleteThread():
            return threads.delete(tables, command)
        case UpsertRun():
            runs.upsert(tables, command)
            return None
        case DeleteRun():
            return runs.delete(tables, command)
        case Enqueue():
            mailboxes.enqueue(tables, command)
            return None
        case Send():
            return mailboxes.send(tables, command, now)
        case EnsureMailbox():
            return mailboxes.ensure(tables, command, now)
        case Hold():
            mailboxes.hold(tables, command, now)
            return None
        case Ack() | Nack() | DeadLetter() | Release():
            mailboxes.settle(tables, command, now)
            return None
        case ExtendLease():
            return mailboxes.extend_lease(tables, command, now)
        case Cancel() | Supersede():
            return mailboxes.end(tables, command, now)
        case CancelPending():
            return mailboxes.cancel_pending(tables, command, now)
        case Interrupt():
            return mailboxes.interrupt(tables, command, now)
        case Requeue():
            return mailboxes.requeue(tables, command, now)
        case Purge():
            return mailboxes.purge(tables, command)
        case RestoreThread():
            threads.restore(tables, command)
            return None
        case RestoreEntry():
            mailboxes.restore_entry(tables, command)
            return None
        case RestoreMailbox():
            mailboxes.restore(tables, command)
            return None
        case _:
            assert_never(command)
