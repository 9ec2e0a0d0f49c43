"""A batch: writes that are collected, and committed together when it is left."""

from collections.abc import Awaitable, Callable
from types import TracebackType

from weft.core.clock import new_id
from weft.core.codec import Json
from weft.core.commands import (
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
from weft.core.mailboxes import EntryOrigin, MailboxEntry
from weft.core.runs import RunRecord
from weft.core.threads import Thread, ThreadChangeSet
from weft.store.mailboxes import claim_of

Add = Callable[[Command], None]
Commit = Callable[[Commands], Awaitable[Receipt]]


class Batch:
    """One atomic step: `async with store.batch() as step:`, then `step.threads.append(...)` ….

    Nothing is written before the block ends; an exception in it writes nothing. Afterwards
    `receipt.results` has one result for each write, in their order.
    """

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._commands: list[Command] = []
        self.threads = BatchThreads(self._commands.append)
        self.runs = BatchRuns(self._commands.append)
        self.mailboxes = BatchMailboxes(self._commands.append)
        self.receipt: Receipt | None = None

    async def __aenter__(self) -> "Batch":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.receipt = await self._commit(tuple(self._commands))


class BatchThreads:
    """Writes to threads, within a batch; see `weft.store.threads.Threads`."""

    def __init__(self, add: Add) -> None:
        self._add = add

    def create(self, thread: Thread, *, now: int | None = None) -> None:
        """Make a new thread."""
        self._add(CreateThread(thread=thread, now=now))

    def append(
        self,
        thread_id: str,
        changes: ThreadChangeSet,
        *,
        expected: int | None = None,
        now: int | None = None,
    ) -> None:
        """Add messages and patches to a thread, and record the run they belong to."""
        self._add(AppendThread(thread_id=thread_id, changes=changes, expected=expected, now=now))

    def save(self, thread: Thread, *, now: int | None = None) -> None:
        """Put a thread as a whole."""
        self._add(SaveThread(thread=thread, now=now))

    def delete(self, thread_id: str) -> None:
        """Remove a thread."""
        self._add(DeleteThread(thread_id=thread_id))


class BatchRuns:
    """Writes to runs, within a batch; see `weft.store.runs.Runs`."""

    def __init__(self, add: Add) -> None:
        self._add = add

    def upsert(self, run: RunRecord) -> None:
        """Put a run's record as a whole."""
        self._add(UpsertRun(run=run))

    def delete(self, run_id: str) -> None:
        """Remove a run's record."""
        self._add(DeleteRun(run_id=run_id))


class BatchMailboxes:
    """Writes to mailboxes, within a batch; see `weft.store.mailboxes.Mailboxes`."""

    def __init__(self, add: Add) -> None:
        self._add = add

    def hold(
        self, entry: MailboxEntry | str, claim_token: str | None = None, *, now: int | None = None
    ) -> None:
        """Commit the batch only while this claim is held and its mailbox not interrupted."""
        entry_id, token = claim_of(entry, claim_token)
        self._add(Hold(entry_id=entry_id, claim_token=token, now=now))

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
    ) -> None:
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
        self._add(command)

    def enqueue(self, entry: MailboxEntry) -> None:
        """Put an entry as it is."""
        self._add(Enqueue(entry=entry))

    def ensure(self, mailbox_id: str, *, now: int | None = None) -> None:
        """See that the mailbox has a state."""
        self._add(EnsureMailbox(mailbox_id=mailbox_id, now=now))

    def ack(
        self, entry: MailboxEntry | str, claim_token: str | None = None, *, now: int | None = None
    ) -> None:
        """Settle a claimed entry as done."""
        entry_id, token = claim_of(entry, claim_token)
        self._add(Ack(entry_id=entry_id, claim_token=token, now=now))

    def nack(
        self,
        entry: MailboxEntry | str,
        claim_token: str | None = None,
        *,
        retry_at: int | None = None,
        error: str = "",
        now: int | None = None,
    ) -> None:
        """Give a claimed entry back, to be tried again from `retry_at` on (None: at once)."""
        entry_id, token = claim_of(entry, claim_token)
        self._add(
            Nack(entry_id=entry_id, claim_token=token, retry_at=retry_at, error=error, now=now)
        )

    def dead_letter(
        self,
        entry: MailboxEntry | str,
        claim_token: str | None = None,
        *,
        error: str = "",
        now: int | None = None,
    ) -> None:
        """Settle a claimed entry as failed for good."""
        entry_id, token = claim_of(entry, claim_token)
        self._add(DeadLetter(entry_id=entry_id, claim_token=token, error=error, now=now))

    def release(
        self, entry: MailboxEntry | str, claim_token: str | None = None, *, now: int | None = None
    ) -> None:
        """Give a claimed entry back untouched."""
        entry_id, token = claim_of(entry, claim_token)
        self._add(Release(entry_id=entry_id, claim_token=token, now=now))

    def extend_lease(
        self,
        entry: MailboxEntry | str,
        claim_token: str | None = None,
        *,
        extension_ms: int = 30_000,
        now: int | None = None,
    ) -> None:
        """Keep a claim for `extension_ms` from now; the result says whether it is still held."""
        entry_id, token = claim_of(entry, claim_token)
        self._add(
            ExtendLease(entry_id=entry_id, claim_token=token, extension_ms=extension_ms, now=now)
        )

    def cancel(self, entry_id: str, *, now: int | None = None) -> None:
        """End an entry that is not wanted."""
        self._add(Cancel(entry_id=entry_id, now=now))

    def supersede(self, entry_id: str, reason: str, *, now: int | None = None) -> None:
        """End an entry because of something newer."""
        self._add(Supersede(entry_id=entry_id, reason=reason, now=now))

    def cancel_pending(
        self, mailbox_id: str, *, exclude: str | None = None, now: int | None = None
    ) -> None:
        """Cancel all that has not ended in a mailbox, but not `exclude`."""
        self._add(CancelPending(mailbox_id=mailbox_id, exclude=exclude, now=now))

    def interrupt(self, mailbox_id: str, *, now: int | None = None) -> None:
        """Start a mailbox anew: all that is older is superseded."""
        self._add(Interrupt(mailbox_id=mailbox_id, now=now))

    def requeue(self, entry_id: str, *, now: int | None = None) -> None:
        """Queue a dead letter again."""
        self._add(Requeue(entry_id=entry_id, now=now))

    def purge(self, older_than: int) -> None:
        """Remove entries that ended before `older_than` (unix ms)."""
        self._add(Purge(older_than=older_than))
