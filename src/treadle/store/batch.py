"""A batch: writes that are collected, and committed together when it is left."""

from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Any, Generic, TypeVar

from treadle.core.clock import new_id
from treadle.core.codec import Json
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
    SaveThread,
    Send,
    Supersede,
    UpsertRun,
)
from treadle.core.mailboxes import EntryOrigin, Interrupted, MailboxEntry, MailboxState, claim_of
from treadle.core.runs import RunRecord
from treadle.core.threads import Committed, Thread, ThreadChangeSet

T = TypeVar("T")

Commit = Callable[[Commands], Awaitable[Receipt]]


class Write(Generic[T]):
    """A write of a batch: it waits until the batch is left, and has its `result` then."""

    def __init__(self, command: Command, find_result: Callable[[], T] | None = None) -> None:
        self.command = command
        """What the backend will be given."""
        self._find_result = find_result

    @property
    def result(self) -> T:
        """What came of it: what the method of the same name of the store returns.

        Raises:
            RuntimeError: the batch is not committed.
        """
        if self._find_result is None:
            raise RuntimeError("it is in no batch")
        return self._find_result()


Add = Callable[[Command], Write[Any]]


class Batch:
    """One atomic step: `async with store.batch() as step:`, then `step.threads.append(...)` ….

    Nothing is written before the block ends, and all or nothing then; an exception in the block
    writes nothing. What a method returns has its `result` afterwards: `sent.result` of
    `sent = step.mailboxes.send(...)`. There is nothing to await but the end of the block.

    Leaving the block raises what the failing write raises by itself; `TreadleError.command` says
    which one it was.
    """

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._commands: list[Command] = []
        self.threads = BatchThreads(self._add)
        """What `Threads` writes."""
        self.runs = BatchRuns(self._add)
        """What `Runs` writes."""
        self.mailboxes = BatchMailboxes(self._add)
        """What `Mailboxes` writes, and `hold`."""
        self.receipt: Receipt | None = None
        """What came of it; None until it is committed."""

    async def __aenter__(self) -> "Batch":
        self._require_open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.receipt = await self._commit(tuple(self._commands))

    def _require_open(self) -> None:
        """Refuse what comes after the batch was committed.

        Raises:
            RuntimeError: it was.
        """
        if self.receipt is not None:
            raise RuntimeError("this batch is committed; make another one")

    def _add(self, command: Command) -> Write[Any]:
        self._require_open()
        self._commands.append(command)
        return Write(command, partial(self._result_at, len(self._commands) - 1))

    def _result_at(self, place: int) -> Any:
        if self.receipt is None:
            raise RuntimeError("its batch is not committed; ask once the block is left")
        return self.receipt.results[place]


class BatchThreads:
    """Writes to threads, within a batch; see `treadle.store.threads.Threads`."""

    def __init__(self, add: Add) -> None:
        self._add = add

    def create(self, thread: Thread, *, now: int | None = None) -> Write[Committed]:
        """Make a new thread."""
        return self._add(CreateThread(thread=thread, now=now))

    def ensure(self, thread: Thread, *, now: int | None = None) -> Write[Committed]:
        """Make a thread if there is none of its id; one that is there stays as it is."""
        return self._add(EnsureThread(thread=thread, now=now))

    def append(
        self,
        thread_id: str,
        changes: ThreadChangeSet,
        *,
        expected: int | None = None,
        now: int | None = None,
    ) -> Write[Committed]:
        """Add messages and patches to a thread, and record the run they belong to."""
        return self._add(
            AppendThread(thread_id=thread_id, changes=changes, expected=expected, now=now)
        )

    def save(self, thread: Thread, *, now: int | None = None) -> Write[Committed]:
        """Put a thread as a whole."""
        return self._add(SaveThread(thread=thread, now=now))

    def delete(self, thread_id: str) -> Write[bool]:
        """Remove a thread."""
        return self._add(DeleteThread(thread_id=thread_id))


class BatchRuns:
    """Writes to runs, within a batch; see `treadle.store.runs.Runs`."""

    def __init__(self, add: Add) -> None:
        self._add = add

    def upsert(self, run: RunRecord) -> Write[None]:
        """Put a run's record as a whole."""
        return self._add(UpsertRun(run=run))

    def delete(self, run_id: str) -> Write[bool]:
        """Remove a run's record."""
        return self._add(DeleteRun(run_id=run_id))


class BatchMailboxes:
    """Writes to mailboxes, within a batch; see `treadle.store.mailboxes.Mailboxes`."""

    def __init__(self, add: Add) -> None:
        self._add = add

    def hold(
        self, entry: MailboxEntry | str, claim_token: str | None = None, *, now: int | None = None
    ) -> Write[None]:
        """Commit the batch only while this claim is held and its mailbox not interrupted.

        The lease must not have run out either; leaving the batch raises `ClaimConflict` otherwise.
        """
        entry_id, token = claim_of(entry, claim_token)
        return self._add(Hold(entry_id=entry_id, claim_token=token, now=now))

    def send(
        self,
        mailbox_id: str,
        payload: Json,
        *,
        dedupe_key: str | None = None,
        priority: int = 0,
        delay_ms: int = 0,
        sender_id: str | None = None,
        origin: EntryOrigin = "external",
        now: int | None = None,
    ) -> Write[MailboxEntry]:
        """Put work into a mailbox, due after `delay_ms`."""
        command = Send(
            entry_id=new_id(),
            mailbox_id=mailbox_id,
            payload=payload,
            dedupe_key=dedupe_key,
            priority=priority,
            delay_ms=delay_ms,
            sender_id=sender_id,
            origin=origin,
            now=now,
        )
        return self._add(command)

    def enqueue(self, entry: MailboxEntry) -> Write[None]:
        """Put an entry as it is."""
        return self._add(Enqueue(entry=entry))

    def ensure(self, mailbox_id: str, *, now: int | None = None) -> Write[MailboxState]:
        """See that the mailbox has a state."""
        return self._add(EnsureMailbox(mailbox_id=mailbox_id, now=now))

    def ack(
        self, entry: MailboxEntry | str, claim_token: str | None = None, *, now: int | None = None
    ) -> Write[None]:
        """Settle a claimed entry as done."""
        entry_id, token = claim_of(entry, claim_token)
        return self._add(Ack(entry_id=entry_id, claim_token=token, now=now))

    def nack(
        self,
        entry: MailboxEntry | str,
        claim_token: str | None = None,
        *,
        retry_at: int | None = None,
        error: str = "",
        now: int | None = None,
    ) -> Write[None]:
        """Give a claimed entry back, to be tried again from `retry_at` on (None: at once)."""
        entry_id, token = claim_of(entry, claim_token)
        return self._add(
            Nack(entry_id=entry_id, claim_token=token, retry_at=retry_at, error=error, now=now)
        )

    def dead_letter(
        self,
        entry: MailboxEntry | str,
        claim_token: str | None = None,
        *,
        error: str = "",
        now: int | None = None,
    ) -> Write[None]:
        """Settle a claimed entry as failed for good."""
        entry_id, token = claim_of(entry, claim_token)
        return self._add(DeadLetter(entry_id=entry_id, claim_token=token, error=error, now=now))

    def release(
        self, entry: MailboxEntry | str, claim_token: str | None = None, *, now: int | None = None
    ) -> Write[None]:
        """Give a claimed entry back untouched."""
        entry_id, token = claim_of(entry, claim_token)
        return self._add(Release(entry_id=entry_id, claim_token=token, now=now))

    def extend_lease(
        self,
        entry: MailboxEntry | str,
        claim_token: str | None = None,
        *,
        extension_ms: int = 30_000,
        now: int | None = None,
    ) -> Write[bool]:
        """Keep a claim for `extension_ms` from now; the result says whether it is still held."""
        entry_id, token = claim_of(entry, claim_token)
        return self._add(
            ExtendLease(entry_id=entry_id, claim_token=token, extension_ms=extension_ms, now=now)
        )

    def cancel(self, entry_id: str, *, now: int | None = None) -> Write[MailboxEntry | None]:
        """End an entry that is not wanted."""
        return self._add(Cancel(entry_id=entry_id, now=now))

    def supersede(
        self, entry_id: str, reason: str, *, now: int | None = None
    ) -> Write[MailboxEntry | None]:
        """End an entry because of something newer."""
        return self._add(Supersede(entry_id=entry_id, reason=reason, now=now))

    def cancel_pending(
        self, mailbox_id: str, *, exclude: str | None = None, now: int | None = None
    ) -> Write[tuple[MailboxEntry, ...]]:
        """Cancel all that has not ended in a mailbox, but not `exclude`."""
        return self._add(CancelPending(mailbox_id=mailbox_id, exclude=exclude, now=now))

    def interrupt(self, mailbox_id: str, *, now: int | None = None) -> Write[Interrupted]:
        """Start a mailbox anew: all that is older is superseded."""
        return self._add(Interrupt(mailbox_id=mailbox_id, now=now))

    def requeue(self, entry_id: str, *, now: int | None = None) -> Write[MailboxEntry | None]:
        """Queue a dead letter again."""
        return self._add(Requeue(entry_id=entry_id, now=now))

    def purge(self, older_than: int) -> Write[int]:
        """Remove entries that ended before `older_than` (unix milliseconds)."""
        return self._add(Purge(older_than=older_than))
