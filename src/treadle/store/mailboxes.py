"""Mailboxes, as a user of a store sees them."""

from collections.abc import Collection

from treadle.backends.base import Backend
from treadle.clock import new_id
from treadle.core.claims import (
    Ack,
    ClaimRequest,
    DeadLetter,
    ExtendLease,
    Hold,
    Nack,
    Release,
    claim_of,
)
from treadle.core.codec import Json, check_integer, checked
from treadle.core.endings import (
    Cancel,
    CancelPending,
    Interrupt,
    Interrupted,
    Purge,
    Requeue,
    Supersede,
)
from treadle.core.ids import check_id, check_ids, check_optional_id
from treadle.core.mailbox_queries import (
    CountEntries,
    EntryKey,
    FoundEntries,
    ListEntries,
    ListMailboxes,
    ListSummaries,
    LoadEntry,
    LoadMailbox,
    MailboxKey,
    MailboxSummaryPage,
    SearchEntries,
)
from treadle.core.mailboxes import (
    Enqueue,
    EnsureMailbox,
    EntryOrigin,
    EntryPage,
    EntryStatus,
    MailboxEntry,
    MailboxPage,
    MailboxState,
    MailboxStats,
    Send,
)
from treadle.core.messages import Order
from treadle.core.pauses import Pause, Resume
from treadle.core.queries import check_query, several
from treadle.store.writes import NewWrite, Write


class MailboxWrites:
    """Writes to mailboxes: awaited on the store, collected in a batch.

    Writes that settle or extend a claim take the entry that `Mailboxes.claim` returned, or its id
    and token. Most take `now`, the present in unix milliseconds; the default is the store's clock.
    """

    def __init__(self, write: NewWrite) -> None:
        self._write = write

    # --- sending ----------------------------------------------------------------------------------

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
        """Send work to a mailbox, of its current generation. A mailbox need not be created first.

        Without a delay it is due at once, and what is sent one after the other to a mailbox is
        claimed in that order, whatever the clock does.

        Args:
            mailbox_id: which mailbox; a thread's own mailbox has the thread's id.
            payload: the work, as any JSON value.
            dedupe_key: if the mailbox has seen this key, nothing is written, and the result is the
                entry that has it.
            priority: 0..255; entries of a higher priority are claimed first.
            delay_ms: how many milliseconds from now the entry is due.
            sender_id: who sends it; kept for readers, as `origin` is.
            origin: "external", or "internal" if an agent sends it.
            now: the present.

        Raises:
            InvalidId, InvalidValue: the entry cannot be stored; the message says where.
        """
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
            ClaimConflict: the claim was lost, its lease expired, an entry of its mailbox that was
                claimed since is held, or its mailbox was interrupted. Leaving the batch raises it.
        """
        entry_id, token = claim_of(entry, claim_token)
        return self._write(Hold(entry_id=entry_id, claim_token=token, now=now))

    def ack(
        self, entry: MailboxEntry | str, claim_token: str | None = None, *, now: int | None = None
    ) -> Write[None]:
        """Settle a claimed entry as done.

        Raises:
            NotFound: the entry does not exist.
            ClaimConflict: it is not claimed with this token. An expired lease is no reason, as long
                as nobody else has claimed the entry.
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
        keep_order: bool = False,
        now: int | None = None,
    ) -> Write[None]:
        """Return a claimed entry to the queue, to be tried again.

        Args:
            entry: the claimed entry, or its id.
            claim_token: its token, if `entry` is an id.
            retry_at: when it is due again, in unix milliseconds; None: at once.
            error: what went wrong, for `MailboxEntry.last_error`.
            keep_order: claim nothing of the mailbox with the same or a lower priority until the
                entry is settled or its retry is due; then it comes first. Otherwise the entries
                behind it go on, and it is in line by `retry_at`.
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
        now: int | None = None,
    ) -> Write[None]:
        """Settle a claimed entry as failed for good.

        Raises:
            NotFound, ClaimConflict: as for `ack`.
        """
        entry_id, token = claim_of(entry, claim_token)
        return self._write(DeadLetter(entry_id=entry_id, claim_token=token, error=error, now=now))

    def release(
        self, entry: MailboxEntry | str, claim_token: str | None = None, *, now: int | None = None
    ) -> Write[None]:
        """Return a claimed entry untouched: the claim does not count as an attempt.

        Raises:
            NotFound, ClaimConflict: as for `ack`.
        """
        entry_id, token = claim_of(entry, claim_token)
        return self._write(Release(entry_id=entry_id, claim_token=token, now=now))

    def extend_lease(
        self,
        entry: MailboxEntry | str,
        claim_token: str | None = None,
        *,
        extension_ms: int = 30_000,
        now: int | None = None,
    ) -> Write[bool]:
        """Keep a claim for `extension_ms` from now. Returns whether it is still held.

        An expired claim is still held as long as nobody has claimed an entry of its mailbox.
        """
        entry_id, token = claim_of(entry, claim_token)
        return self._write(
            ExtendLease(entry_id=entry_id, claim_token=token, extension_ms=extension_ms, now=now)
        )

    # --- ending work without a claim --------------------------------------------------------------

    def cancel(self, entry_id: str, *, now: int | None = None) -> Write[MailboxEntry | None]:
        """Cancel an entry, even if it is claimed; one that has ended stays as it is.

        Returns the entry after that, or None if it does not exist.
        """
        return self._write(Cancel(entry_id=entry_id, now=now))

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

    def interrupt(self, mailbox_id: str, *, now: int | None = None) -> Write[Interrupted]:
        """Raise a mailbox's generation, and supersede its queued and claimed entries.

        The holder of a claimed entry can write nothing more; see `hold`.
        """
        return self._write(Interrupt(mailbox_id=mailbox_id, now=now))

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

    def purge(self, older_than: int) -> Write[int]:
        """Delete the entries that ended before `older_than` (unix milliseconds). Returns how many.

        Their mailboxes forget their dedupe keys.
        """
        return self._write(Purge(older_than=older_than))


class Mailboxes(MailboxWrites):
    """Work waiting for agents: sent, claimed under a lease, settled."""

    def __init__(self, backend: Backend, write: NewWrite) -> None:
        super().__init__(write)
        self._backend = backend

    async def claim(
        self,
        limit: int = 1,
        *,
        consumer: str,
        lease_ms: int = 30_000,
        mailbox_id: str | None = None,
        now: int | None = None,
    ) -> tuple[MailboxEntry, ...]:
        """Claim up to `limit` due entries, at most one from each mailbox.

        A mailbox with a live lease gives nothing. Entries of the highest priority come first, then
        those that have been due longest. An entry whose lease has expired is due again. If nothing
        is due, the result is empty at once; `wait` waits.

        Args:
            limit: how many at most.
            consumer: your name, for `MailboxEntry.claimed_by`.
            lease_ms: for how many milliseconds nobody else can claim them; see `extend_lease`.
            mailbox_id: claim from this mailbox only.
            now: the present.

        Raises:
            InvalidId, InvalidValue: an argument is out of its range.
        """
        request = ClaimRequest(
            consumer=consumer, limit=limit, lease_ms=lease_ms, mailbox_id=mailbox_id, now=now
        )
        check_ids(request)
        return await self._backend.claim(checked(request, "claim"))

    async def claim_entry(
        self, entry_id: str, *, consumer: str, lease_ms: int = 30_000, now: int | None = None
    ) -> MailboxEntry | None:
        """Claim one entry by its id, even if it is not due yet.

        None if it does not exist, has ended, or if a lease is live in its mailbox.
        """
        check_id("entry", entry_id)  # None would claim any entry
        request = ClaimRequest(consumer=consumer, lease_ms=lease_ms, entry_id=entry_id, now=now)
        entries = await self._backend.claim(checked(request, "claim_entry"))
        return entries[0] if entries else None

    async def wait(self, timeout_ms: int, *, mailbox_id: str | None = None) -> None:
        """Wait until an entry may be claimable, for at most `timeout_ms` milliseconds.

        It may return early, so claim in a loop.
        """
        check_optional_id("mailbox", mailbox_id)
        await self._backend.wait(check_integer("wait.timeout_ms", timeout_ms), mailbox_id)

    async def load(self, mailbox_id: str) -> MailboxState | None:
        """Read a mailbox's state; None if nothing was ever sent to it."""
        return await self._backend.read(check_query(LoadMailbox(mailbox_id=mailbox_id), "load"))

    async def list(self, *, offset: int = 0, limit: int = 50) -> MailboxPage:
        """List mailboxes' states in the order of their ids; `limit` is clamped to 1..200."""
        query = ListMailboxes(offset=offset, limit=limit)
        return await self._backend.read(check_query(query, "list"))

    async def list_summaries(
        self,
        *,
        by: MailboxKey = "id",
        order: Order = "asc",
        after: str | None = None,
        limit: int = 50,
    ) -> MailboxSummaryPage:
        """List mailboxes with their holders and the number of their entries, in pages by a cursor.

        A page costs the same however many mailboxes there are, but on files, which look at all of
        them. The entries of the mailboxes on the page are counted.

        Args:
            by: sort by id, or by `updated_at`, when the state last changed, and then by id. An
                interrupt changes a state, and work does not.
            order: "asc" or "desc".
            after: `next_cursor` of the page before, which was read with the same `by`.
            limit: how many at most, clamped to 1..200.

        Raises:
            InvalidValue: `after` is no cursor of a listing in this order.
        """
        query = ListSummaries(by=by, order=order, after=after, limit=limit)
        return await self._backend.read(check_query(query, "list_summaries"))

    async def load_entry(self, entry_id: str) -> MailboxEntry | None:
        """Read an entry; None if it does not exist."""
        return await self._backend.read(check_query(LoadEntry(entry_id=entry_id), "load_entry"))

    async def list_entries(
        self,
        *,
        offset: int = 0,
        limit: int = 50,
        mailbox_id: str | None = None,
        status: EntryStatus | None = None,
        origin: EntryOrigin | None = None,
    ) -> EntryPage:
        """List the entries that match all filters, oldest first; `limit` is clamped to 1..200."""
        query = ListEntries(
            offset=offset, limit=limit, mailbox_id=mailbox_id, status=status, origin=origin
        )
        return await self._backend.read(check_query(query, "list_entries"))

    async def search_entries(
        self,
        *,
        by: EntryKey = "created_at",
        order: Order = "desc",
        after: str | None = None,
        limit: int = 50,
        mailbox_id: str | None = None,
        statuses: Collection[EntryStatus] | None = None,
        error: str | None = None,
        claimed_by: str | None = None,
        sender_id: str | None = None,
        origin: EntryOrigin | None = None,
    ) -> FoundEntries:
        """List the entries that match all filters, newest first, in pages by a cursor.

        The last failures: ``search_entries(statuses=["dead_letter"], error="timeout")``.
        A page costs the same however many entries there are, but on files, which look at all of
        them. `error`, `sender_id`, `origin`, and a mailbox's accepted entries have no index: all
        that match the other filters are looked at, in order, until the page is full. By
        `available_at`, a page of one mailbox looks at all that waits there.

        Args:
            by: sort by `created_at`, or by `available_at`, when an entry is due: then only queued
                entries are listed. Entries of one time are sorted by their ids.
            order: "desc" begins with the newest, "asc" with the oldest.
            after: `next_cursor` of the page before, which was read with the same `by`.
            limit: how many at most, clamped to 1..200.
            mailbox_id: only entries of this mailbox.
            statuses: only entries in one of these statuses.
            error: only entries whose `last_error` contains this text.
            claimed_by: only entries that are claimed by this consumer, even if the lease is over.
            sender_id: only entries of this sender.
            origin: only entries from this origin.

        Raises:
            InvalidValue: `after` is no cursor of a listing in this order.
        """
        query = SearchEntries(
            by=by,
            order=order,
            after=after,
            limit=limit,
            mailbox_id=mailbox_id,
            statuses=several(statuses, "search_entries.statuses"),
            error=error,
            claimed_by=claimed_by,
            sender_id=sender_id,
            origin=origin,
        )
        return await self._backend.read(check_query(query, "search_entries"))

    async def count_entries(self, mailbox_id: str | None = None) -> MailboxStats:
        """Count the entries in each status, of one mailbox or of all."""
        query = CountEntries(mailbox_id=mailbox_id)
        return await self._backend.read(check_query(query, "count_entries"))
