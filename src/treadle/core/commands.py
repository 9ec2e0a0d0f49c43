"""Commands: everything that can be written, as values; a batch of them commits as one."""

from functools import cache
from typing import TypeAlias, get_args

from treadle.core.codec import Json, Model, checked
from treadle.core.ids import IdKind, check_id
from treadle.core.limits import LARGEST_COUNT, Priority, Time, Version
from treadle.core.mailboxes import (
    EntryOrigin,
    Interrupted,
    MailboxEntry,
    MailboxState,
)
from treadle.core.runs import RunMeta, RunRecord
from treadle.core.threads import Committed, Thread, ThreadChangeSet, ThreadHead
from treadle.errors import InvalidValue, TreadleError


class Timed(Model, frozen=True, kw_only=True):
    """A command that happens at `now` (unix milliseconds); None is the backend's clock."""

    now: Time | None = None


class CreateThread(Timed, frozen=True, kw_only=True):
    """A new thread. Result: `Committed`. Fails with `AlreadyExists`."""

    thread: Thread


class EnsureThread(Timed, frozen=True, kw_only=True):
    """A thread that is made if there is none of its id. Result: `Committed`, as it is then."""

    thread: Thread


class AppendThread(Timed, frozen=True, kw_only=True):
    """Changes to a thread, and to their run. Result: `Committed`.

    Fails with `NotFound`, or `VersionConflict` if the thread is not at version `expected`.
    """

    thread_id: str
    changes: ThreadChangeSet
    expected: Version | None = None


class SaveThread(Timed, frozen=True, kw_only=True):
    """A thread as a whole, new or replaced. Result: `Committed`."""

    thread: Thread


class DeleteThread(Model, frozen=True, kw_only=True):
    """A thread is no more; its runs and mailbox stay. Result: whether it was there."""

    thread_id: str


class UpsertRun(Model, frozen=True, kw_only=True):
    """A run's record as a whole, new or replaced. Result: None."""

    run: RunRecord


class DeleteRun(Model, frozen=True, kw_only=True):
    """A run's record is no more. Result: whether it was there."""

    run_id: str


class Enqueue(Model, frozen=True, kw_only=True):
    """An entry as it is. Result: None. Fails with `AlreadyExists` or `GenerationMismatch`."""

    entry: MailboxEntry


class Send(Timed, frozen=True, kw_only=True):
    """A new entry of the mailbox's current generation, due after `delay_ms`. Result: the entry.

    If the mailbox has seen `dedupe_key`, the result is the entry that is there.
    """

    entry_id: str
    mailbox_id: str
    payload: Json
    dedupe_key: str | None = None
    priority: Priority = 0
    delay_ms: Time = 0
    sender_id: str | None = None
    origin: EntryOrigin = "external"


class EnsureMailbox(Timed, frozen=True, kw_only=True):
    """A mailbox has a state, at generation 0 if it is new. Result: `MailboxState`."""

    mailbox_id: str


class Hold(Timed, frozen=True, kw_only=True):
    """The fence: the batch commits only while this claim is held. Result: None.

    Fails with `ClaimConflict` if the claim was lost, ran out or its mailbox was interrupted.
    """

    entry_id: str
    claim_token: str


class Ack(Timed, frozen=True, kw_only=True):
    """A claimed entry is done. Result: None. Fails with `NotFound` or `ClaimConflict`."""

    entry_id: str
    claim_token: str


class Nack(Timed, frozen=True, kw_only=True):
    """A claimed entry goes back until `retry_at` (None: now). Result and failures as for `Ack`."""

    entry_id: str
    claim_token: str
    retry_at: Time | None = None
    error: str = ""


class DeadLetter(Timed, frozen=True, kw_only=True):
    """A claimed entry failed for good. Result and failures as for `Ack`."""

    entry_id: str
    claim_token: str
    error: str = ""


class Release(Timed, frozen=True, kw_only=True):
    """A claimed entry goes back with its attempt. Result and failures as for `Ack`."""

    entry_id: str
    claim_token: str


class ExtendLease(Timed, frozen=True, kw_only=True):
    """A claim is kept for `extension_ms` from now. Result: whether it is still held.

    One that ran out is not, if another entry of its mailbox is held meanwhile.
    """

    entry_id: str
    claim_token: str
    extension_ms: Time


class Cancel(Timed, frozen=True, kw_only=True):
    """An entry is not wanted. Result: the entry (unchanged if it had ended), or None."""

    entry_id: str


class Supersede(Timed, frozen=True, kw_only=True):
    """An entry is replaced by something newer. Result as for `Cancel`."""

    entry_id: str
    reason: str


class CancelPending(Timed, frozen=True, kw_only=True):
    """All unfinished entries of a mailbox but `exclude` are not wanted. Result: those cancelled."""

    mailbox_id: str
    exclude: str | None = None


class Interrupt(Timed, frozen=True, kw_only=True):
    """A mailbox starts anew: everything older is superseded. Result: `Interrupted`."""

    mailbox_id: str


class Requeue(Timed, frozen=True, kw_only=True):
    """A dead letter is queued again. Result: the entry (unchanged if it is none), or None."""

    entry_id: str


class Purge(Model, frozen=True, kw_only=True):
    """Entries that ended before `older_than` (unix milliseconds) are no more. Result: how many."""

    older_than: Time


class RestoreThread(Model, frozen=True, kw_only=True):
    """A thread at its version, in place of what is there: for copies of stores. Result: None."""

    head: ThreadHead


class RestoreEntry(Model, frozen=True, kw_only=True):
    """An entry as it is, in whatever status, in place of what is there. Result: None.

    Its mailbox, if it has no state, gets one at the entry's generation.
    """

    entry: MailboxEntry


class RestoreMailbox(Model, frozen=True, kw_only=True):
    """A mailbox's state as it is, in place of what is there. Result: None."""

    mailbox: MailboxState


Settlement: TypeAlias = Ack | Nack | DeadLetter | Release
"""What ends a claim."""

Command: TypeAlias = (
    CreateThread
    | EnsureThread
    | AppendThread
    | SaveThread
    | DeleteThread
    | UpsertRun
    | DeleteRun
    | Enqueue
    | Send
    | EnsureMailbox
    | Hold
    | Settlement
    | ExtendLease
    | Cancel
    | Supersede
    | CancelPending
    | Interrupt
    | Requeue
    | Purge
    | RestoreThread
    | RestoreEntry
    | RestoreMailbox
)
"""One write."""

Result: TypeAlias = (
    Committed
    | MailboxEntry
    | MailboxState
    | Interrupted
    | tuple[MailboxEntry, ...]
    | bool
    | int
    | None
)
"""What comes of a command; each says which of these."""

Commands: TypeAlias = tuple[Command, ...]
"""Writes that take effect together, or not at all."""


class Receipt(Model, frozen=True, kw_only=True):
    """A batch was committed; `results` has one item for each of its commands, in their order."""

    results: tuple[Result, ...]


def check_batch(batch: Commands) -> Commands:
    """The batch, checked and sharing nothing with what the caller may still change.

    Raises:
        InvalidId, InvalidValue: a command cannot be stored; the message names the place.
    """
    if not isinstance(batch, tuple | list):
        raise InvalidValue("batch", f"it must be a tuple of commands, not a {_kind(batch)}")
    checked_commands: list[Command] = []
    for position, command in enumerate(batch, start=1):
        try:
            checked_commands.append(check_command(command))
        except TreadleError as error:
            name_failure(error, position, len(batch), _kind(command))
            raise
    return tuple(checked_commands)


def name_failure(error: TreadleError, position: int, count: int, command: str) -> None:
    """Let the error say which command of a batch it comes from, counted from 1."""
    error.command = f"command {position} of {count}: {command}"
    if count > 1:
        error.add_note(f"nothing of the batch was written; failed at {error.command}")


def check_command(command: Command) -> Command:
    """The command, checked and copied.

    Raises:
        InvalidId, InvalidValue: it cannot be stored; the message names the place.
    """
    if not isinstance(command, _COMMANDS):
        raise InvalidValue("batch", f"it must hold commands, not a {_kind(command)}")
    _check_ids(command)
    command = checked(command, _name(command))
    match command:
        case Enqueue(entry=entry):
            _check_fresh(entry)
        case CreateThread(thread=thread) | EnsureThread(thread=thread) | SaveThread(thread=thread):
            _check_own(thread, f"{_name(command)}.thread")
        case RestoreThread(head=head):
            _check_own(head.thread, f"{_name(command)}.head.thread")
        case _:
            pass
    return command


def describe(command: Command) -> str:
    """The command in a few words, for errors: `Ack 'entry-1'`."""
    match command:
        case CreateThread(thread=thread) | EnsureThread(thread=thread) | SaveThread(thread=thread):
            subject = thread.id
        case AppendThread(thread_id=key) | DeleteThread(thread_id=key):
            subject = key
        case RestoreThread(head=head):
            subject = head.thread.id
        case UpsertRun(run=run):
            subject = run.run_id
        case DeleteRun(run_id=key):
            subject = key
        case Enqueue(entry=entry) | RestoreEntry(entry=entry):
            subject = entry.entry_id
        case RestoreMailbox(mailbox=mailbox):
            subject = mailbox.mailbox_id
        case (
            Send(mailbox_id=key)
            | EnsureMailbox(mailbox_id=key)
            | CancelPending(mailbox_id=key)
            | Interrupt(mailbox_id=key)
        ):
            subject = key
        case Purge(older_than=time):
            subject = str(time)
        case _:
            subject = command.entry_id
    return f"{type(command).__name__} {subject!r}"


_COMMANDS: tuple[type[Command], ...] = get_args(Command)


def _kind(value: object) -> str:
    return type(value).__name__


def _name(command: Command) -> str:
    name = type(command).__name__
    return name[0].lower() + name[1:]


_ID_FIELDS: dict[str, IdKind] = {
    "id": "thread",
    "thread_id": "thread",
    "parent_thread_id": "thread",
    "run_id": "run",
    "parent_run_id": "run",
    "mailbox_id": "mailbox",
    "entry_id": "entry",
    "source_mailbox_entry_id": "entry",
    "exclude": "entry",
}

_OPTIONAL_IDS = {"parent_thread_id", "parent_run_id", "source_mailbox_entry_id", "exclude"}


_WITH_IDS = (
    Thread,
    ThreadHead,
    ThreadChangeSet,
    RunMeta,
    RunRecord,
    MailboxEntry,
    MailboxState,
)
_NESTED = {"thread", "head", "changes", "run", "run_meta", "entry", "mailbox"}


@cache
def _fields_with_ids(kind: type[Model]) -> tuple[str, ...]:
    return tuple(
        field for field in kind.__struct_fields__ if field in _ID_FIELDS or field in _NESTED
    )


def _check_ids(value: Model) -> None:
    for field in _fields_with_ids(type(value)):
        item = getattr(value, field)
        if field in _NESTED:
            if isinstance(item, _WITH_IDS):
                _check_ids(item)
        elif not (item is None and field in _OPTIONAL_IDS):
            if item == "" and field == "run_id" and isinstance(value, ThreadChangeSet):
                continue  # an append that belongs to no run
            check_id(_ID_FIELDS[field], item)


def _check_fresh(entry: MailboxEntry) -> None:
    if entry.status != "queued":
        raise InvalidValue("enqueue.entry.status", f"it must be 'queued', not {entry.status!r}")
    for name in ("claim_token", "claimed_by", "lease_until"):
        if getattr(entry, name) is not None:
            raise InvalidValue(f"enqueue.entry.{name}", "a new entry is not claimed; leave it out")
    for name in ("generation", "attempt_count"):
        if getattr(entry, name) > LARGEST_COUNT:
            raise InvalidValue(f"enqueue.entry.{name}", f"it must be at most {LARGEST_COUNT}")


def _check_own(thread: Thread, where: str) -> None:
    if "_version" in thread.extra:
        raise InvalidValue(
            f"{where}.extra._version", "the store counts versions itself; leave it out"
        )
