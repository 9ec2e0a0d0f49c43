"""Writes to mailboxes, as a user of a store or of a batch sees them."""

from collections.abc import Collection, Mapping

from treadle.clock import new_id, new_token
from treadle.core.claims import Ack, DeadLetter, ExtendLease, Hold, Nack, Release, claim_of
from treadle.core.codec import Json, Model, checked, to_plain
from treadle.core.mailbox_commands import (
    Cancel,
    CancelPending,
    Enqueue,
    EnsureMailbox,
    Interrupt,
    Interrupted,
    Requeue,
    Send,
    Supersede,
    Withdraw,
)
from treadle.core.mailbox_deletion import DeleteMailbox, Purge
from treadle.core.mailbox_pauses import Pause, Resume
from treadle.core.mailboxes import (
    SETTLED,
    EntryOrigin,
    EntryStatus,
    MailboxEntry,
    MailboxState,
    Sent,
)
from treadle.core.queries import as_optional_tuple
from treadle.core.taking import Take
from treadle.store.run_arguments import texts_of
from treadle.store.writes import NewWrite, Write


class MailboxWrites:
    """Writes to mailboxes: awaited on the store, collected in a batch.

    Writes that settle or extend a claim take the entry that `Mailboxes.claim` returned, or its id
    and token. Most take `now`, the present in unix milliseconds; the default is the store's clock.
    """

    def __init__(self, write: NewWrite) -> None:
        self._write = write

    # --- sending ----------------------------------------------------------------------------------

    def send(  # noqa: PLR0913
        self,
        mailbox_id: str,
        payload: Json,
        *,
        headers: Mapping[str, str] | None = None,
        dedupe_key: str | None = None,
        priority: int = 0,
        delay_ms: int = 0,
        due_at: int | None = None,
        sender_id: str | None = None,
        origin: EntryOrigin = "external",
        entry_id: str | None = None,
        now: int | None = None,
    ) -> Write[Sent]:
        """Send work to a mailbox, of its current generation. A mailbox need not be created first.

        Without a delay it is due at once, and what is sent one after the other to a mailbox is
        claimed in that order, whatever the clock does.

        Args:
            mailbox_id: which mailbox; a thread's own mailbox has the thread's id.
            payload: the work, as any JSON value, or a value of Treadle's, such as a
                `treadle.worker.RunRequest`, which is sent as its JSON.
            headers: texts by their names beside the payload, such as the context of a trace or a
                tenant, for `MailboxEntry.headers`. At most 32, with names of 1 to 100 characters
                and values of at most 8,192.
            dedupe_key: if the mailbox has seen this key, nothing is written: `Sent.was_known` is
                True, and `Sent.entry` is the entry that has it.
            priority: 0..255; entries of a higher priority are claimed first.
            delay_ms: how many milliseconds from now the entry is due.
            due_at: when it is due, in unix milliseconds, instead of a delay; at once if that is not
                later than now.
            sender_id: who sends it; kept for readers, as `origin` is.
            origin: "external", or "internal" if an agent sends it.
            entry_id: the id of the entry, which no other entry of the store may have; a new one by
                default.
            now: the present.

        Raises:
            InvalidId, InvalidValue: the entry cannot be stored; the message says where.
            AlreadyExists: another entry has the id `entry_id`.
        """
        command = Send(
            entry_id=new_id() if entry_id is None else entry_id,
            mailbox_id=mailbox_id,
            payload=_plain(payload),
            headers=texts_of(headers, "send.headers"),
            dedupe_key=dedupe_key,
            priority=priority,
            delay_ms=delay_ms,
            due_at=due_at,
            sender_id=sender_id,
            origin=origin,
            now=now,
        )
        return self._write(command)

    def enqueue(self, entry: MailboxEntry) -> Write[None]:
        """Enqueue an entry as it is; its status must be queued. `send` fills in most fields.

        Raises:
            AlreadyExists: the entry's id is known, or the mailbox has seen its dedupe key.
            GenerationMismatch: the mailbox is at another generation.
            InvalidId, InvalidValue: the entry cannot be stored; the message says where.
        """
        return self._write(Enqueue(entry=entry))

    def ensure(self, mailbox_id: str, *, now: int | None = None) -> Write[MailboxState]:
        """Create the mailbox's state at generation 0 if it has none; its `updated_at` is now."""
        return self._write(EnsureMailbox(mailbox_id=mailbox_id, now=now))

    # --- claims -----------------------------------------------------------------------------------

    def hold(
        self, entry: MailboxEntry | str, claim_token: str | None = None, *, now: int | None = None
    ) -> Write[None]:
        """Let a batch commit only while this claim is held and its mailbox not interrupted.

        Raises:
            ClaimConflict: the claim was lost, its lease expired, somebody else has claimed from its
                mailbox since and holds that, or its mailbox was interrupted. Leaving the batch
                raises it.
        """
        entry_id, token = claim_of(entry, claim_token)
        return self._write(Hold(entry_id=entry_id, claim_token=token, now=now))

    def ack(
        self, entry: MailboxEntry | str, claim_token: str | None = None, *, now: int | None = None
    ) -> Write[None]:
        """Settle a claimed entry as done.

        Raises:
            NotFound: the entry does not exist.
            ClaimConflict: it is not claimed with this token. An expired lease does not matter, as
                long as nobody else has claimed the entry.
        """
        entry_id, token = claim_of(entry, claim_token)
        return self._write(Ack(entry_id=entry_id, claim_token=token, now=now))

    def nack(
        self,
        entry: MailboxEntry | str,
        claim_token: str | None = None,
        *,
        retry_at: int | None = None,
        error: str = "",
        traceback: str | None = None,
        keep_order: bool = False,
        now: int | None = None,
    ) -> Write[None]:
        """Return a claimed entry to the queue, to be tried again.

        Args:
            entry: the claimed entry, or its id.
            claim_token: its token, if `entry` is an id.
            retry_at: when it is due again, in unix milliseconds; None: at once.
            error: what went wrong, for `MailboxEntry.last_error`.
            traceback: where, for `MailboxEntry.last_traceback`; keep it short.
            keep_order: claim nothing of the mailbox with the same or a lower priority until the
                entry is settled or its retry is due; then it comes first. Otherwise the entries
                after it go on, and its place in the queue is that of `retry_at`.
            now: the present.

        Raises:
            NotFound, ClaimConflict: as for `ack`.
        """
        entry_id, token = claim_of(entry, claim_token)
        return self._write(
            Nack(
                entry_id=entry_id,
                claim_token=token,
                retry_at=retry_at,
                error=error,
                traceback=traceback,
                keep_order=keep_order,
                now=now,
            )
        )

    def dead_letter(
        self,
        entry: MailboxEntry | str,
        claim_token: str | None = None,
        *,
        error: str = "",
        traceback: str | None = None,
        now: int | None = None,
    ) -> Write[None]:
        """Settle a claimed entry as failed for good, and close its active runs.

        Args:
            entry: the claimed entry, or its id.
            claim_token: its token, if `entry` is an id.
            error: what went wrong, for `MailboxEntry.last_error`.
            traceback: where, for `MailboxEntry.last_traceback`; keep it short.
            now: the present.

        Raises:
            NotFound, ClaimConflict: as for `ack`.
        """
        entry_id, token = claim_of(entry, claim_token)
        return self._write(
            DeadLetter(
                entry_id=entry_id, claim_token=token, error=error, traceback=traceback, now=now
            )
        )

    def release(
        self,
        entry: MailboxEntry | str,
        claim_token: str | None = None,
        *,
        retry_at: int | None = None,
        error: str = "",
        keep_order: bool = False,
        now: int | None = None,
    ) -> Write[None]:
        """Return a claimed entry to the queue: the claim does not count as an attempt.

        Args:
            entry: the claimed entry, or its id.
            claim_token: its token, if `entry` is an id.
            retry_at: when it is due again, in unix milliseconds. None: it is as it was before.
            error: why it waits, for `MailboxEntry.last_error`; only with `retry_at`.
            keep_order: as for `nack`; only with `retry_at`.
            now: the present.

        Raises:
            NotFound, ClaimConflict: as for `ack`.
        """
        entry_id, token = claim_of(entry, claim_token)
        return self._write(
            Release(
                entry_id=entry_id,
                claim_token=token,
                retry_at=retry_at,
                error=error,
                keep_order=keep_order,
                now=now,
            )
        )

    def take(
        self,
        entry: MailboxEntry | str,
        claim_token: str | None = None,
        *,
        limit: int = 1,
        now: int | None = None,
    ) -> Write[tuple[MailboxEntry, ...]]:
        """Claim further due entries of the same mailbox, for the holder of one of them.

        They come in the order of claims: the ones that claims would give if nobody held the
        mailbox, so nothing while it is paused, and nothing that a retry holds back. Each is settled
        by itself. They share the lease: it ends for all at once, and extending one extends all.

        Args:
            entry: an entry that is held, or its id.
            claim_token: its token, if `entry` is an id.
            limit: how many at most.
            now: the present.

        Raises:
            NotFound: the entry does not exist.
            ClaimConflict: the claim is not held; see `hold`.
        """
        entry_id, token = claim_of(entry, claim_token)
        command = Take(entry_id=entry_id, claim_token=token, name=new_token(), limit=limit, now=now)
        return self._write(command)

    def extend_lease(
        self,
        entry: MailboxEntry | str,
        claim_token: str | None = None,
        *,
        extension_ms: int = 30_000,
        now: int | None = None,
    ) -> Write[bool]:
        """Keep a claim for `extension_ms` from now. Returns whether it is still held.

        What its holder has taken from the mailbox is kept, too: they share one lease. An expired
        claim is still held as long as nobody else has claimed an entry of its mailbox.
        """
        entry_id, token = claim_of(entry, claim_token)
        return self._write(
            ExtendLease(entry_id=entry_id, claim_token=token, extension_ms=extension_ms, now=now)
        )

    # --- ending work without a claim --------------------------------------------------------------

    def cancel(self, entry_id: str, *, now: int | None = None) -> Write[MailboxEntry | None]:
        """Cancel an entry, even if it is claimed; one that has ended stays as it is.

        Its active runs are closed in the same commit, as by all calls that end an entry: they are
        done, and their `termination_code` is its status. These are the runs whose
        `source_mailbox_entry_id` is its id; `MailboxEntry.closes_runs` must be set, as `send` does.

        Returns the entry after that, or None if it does not exist.
        """
        return self._write(Cancel(entry_id=entry_id, now=now))

    def withdraw(
        self, mailbox_id: str, dedupe_key: str, *, now: int | None = None
    ) -> Write[MailboxEntry | None]:
        """Cancel the entry that has a dedupe key, while it is queued: a timer, or a retry.

        The key is enough, the id is not needed. An entry that is claimed stays with its holder, and
        one that has ended stays as it is. The mailbox knows the key until a purge all the same: a
        `send` with it writes nothing.

        Returns the entry after that, or None if no entry has the key. Its status is "cancelled" if
        it will not run, and "claimed" or "accepted" if this came too late.

        Raises:
            InvalidId, InvalidValue: an argument cannot be stored.
        """
        return self._write(Withdraw(mailbox_id=mailbox_id, dedupe_key=dedupe_key, now=now))

    def supersede(
        self, entry_id: str, reason: str, *, now: int | None = None
    ) -> Write[MailboxEntry | None]:
        """End an entry because of a newer one; `reason` is kept in `MailboxEntry.last_error`.

        Returns the same as `cancel`.
        """
        return self._write(Supersede(entry_id=entry_id, reason=reason, now=now))

    def cancel_pending(
        self, mailbox_id: str, *, exclude: str | None = None, now: int | None = None
    ) -> Write[tuple[MailboxEntry, ...]]:
        """Cancel all queued and claimed entries of a mailbox except `exclude`.

        Returns the entries that this has cancelled, in the order of their ids.
        """
        return self._write(CancelPending(mailbox_id=mailbox_id, exclude=exclude, now=now))

    def interrupt(
        self, mailbox_id: str, *, expected: int | None = None, now: int | None = None
    ) -> Write[Interrupted]:
        """Raise a mailbox's generation, and supersede its queued and claimed entries.

        The holder of a claimed entry can write nothing more; see `hold`. Their active runs are
        closed, as by `cancel`. So are the runs of the thread with the mailbox's id that an entry
        has begun and that wait, even if their entries were accepted long ago: an answer to one of
        them comes too late.

        Args:
            mailbox_id: which mailbox; it need not exist.
            expected: only if the mailbox is at this generation, which is 0 before the first
                interrupt. So one that is requested again, or by several at once, happens once.
            now: the present.

        Raises:
            GenerationMismatch: the mailbox is at another generation than `expected`.
        """
        return self._write(Interrupt(mailbox_id=mailbox_id, expected=expected, now=now))

    # --- pauses ---------------------------------------------------------------------------------

    def pause(
        self,
        mailbox_id: str,
        *,
        until: int | None = None,
        reason: str | None = None,
        now: int | None = None,
    ) -> Write[MailboxState]:
        """Pause a mailbox: it takes what is sent to it, and claims get nothing from it.

        A claim that is held stays held. An interrupt ends the pause, too.

        Args:
            mailbox_id: which mailbox; it need not exist.
            until: when the pause ends, in unix milliseconds; None: when `resume` is called.
            reason: why, for those who read `MailboxState.pause_reason`.
            now: the present.

        Raises:
            InvalidId, InvalidValue: an argument is out of its range.
        """
        return self._write(Pause(mailbox_id=mailbox_id, until=until, reason=reason, now=now))

    def resume(self, mailbox_id: str, *, now: int | None = None) -> Write[MailboxState | None]:
        """End the pause of a mailbox: what is due in it is claimed at once.

        A mailbox that is not paused stays as it is. Returns its state, or None if it has none.
        """
        return self._write(Resume(mailbox_id=mailbox_id, now=now))

    def requeue(self, entry_id: str, *, now: int | None = None) -> Write[MailboxEntry | None]:
        """Queue a dead letter again: due at once, with no attempts.

        Any other entry stays as it is. Returns the entry, or None if it does not exist.
        """
        return self._write(Requeue(entry_id=entry_id, now=now))

    # --- deletion ---------------------------------------------------------------------------------

    def purge(
        self,
        ended_before: int,
        *,
        mailbox_id: str | None = None,
        statuses: Collection[EntryStatus] = SETTLED,
    ) -> Write[int]:
        """Delete the entries that ended before a time. Returns how many.

        Their mailboxes forget their dedupe keys. Dead letters stay unless `statuses` has their
        status: somebody has to look at them, and may requeue them.

        Args:
            ended_before: the time, in unix milliseconds.
            mailbox_id: only entries of this mailbox.
            statuses: only entries in one of these statuses, which must be final.

        Raises:
            InvalidId, InvalidValue: an argument is out of its range.
        """
        chosen = as_optional_tuple(statuses, "purge.statuses") or ()
        return self._write(Purge(ended_before=ended_before, mailbox_id=mailbox_id, statuses=chosen))

    def delete(self, mailbox_id: str) -> Write[int]:
        """Delete a mailbox: its state, its entries and their payloads. Returns how many entries.

        Whatever waits there is gone, dead letters too, and its active runs are closed as cancelled.
        The holder of a claim there has lost it: `hold` raises `ClaimConflict`, `extend_lease`
        returns False, and a worker cancels its handler. What is sent to the mailbox afterwards
        begins at generation 0 again, with no dedupe keys.
        """
        return self._write(DeleteMailbox(mailbox_id=mailbox_id))


def _plain(payload: Json) -> Json:
    """Return the JSON of a value of Treadle's; anything else is checked with its command."""
    return to_plain(checked(payload, "send.payload")) if isinstance(payload, Model) else payload
