"""Mailboxes, as a user of a store sees them."""

from treadle.backends.base import Backend
from treadle.core.codec import Json, check_integer, checked
from treadle.core.ids import check_id, check_optional_id
from treadle.core.mailboxes import (
    ClaimRequest,
    EntryOrigin,
    EntryPage,
    EntryQuery,
    EntryStatus,
    Interrupted,
    MailboxEntry,
    MailboxPage,
    MailboxQuery,
    MailboxState,
    MailboxStats,
)
from treadle.store.batch import BatchMailboxes, Write
from treadle.store.writer import Writer


class Mailboxes:
    """Work waiting for agents: sent, claimed under a lease, settled.

    What settles or extends a claim takes the entry that `claim` returned, or its id and token. Most
    calls take `now`, the present in unix milliseconds; the default is the store's clock.
    """

    def __init__(self, backend: Backend, write: Writer) -> None:
        self._backend = backend
        self._write = write
        self._writes = BatchMailboxes(Write)

    async def send(
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
    ) -> MailboxEntry:
        """Put work into a mailbox, of its current generation; a mailbox need not be made before.

        Args:
            mailbox_id: where to; a thread's own mailbox has the thread's id.
            payload: what is to be done, as any JSON value.
            dedupe_key: if the mailbox has seen it, nothing is written, and the entry that is there
                comes back.
            priority: 0..255; the higher, the sooner it is claimed.
            delay_ms: how many milliseconds from now it is due.
            sender_id: who sends it; kept for readers, as `origin` is.
            origin: "external", or "internal" if an agent sends it.
            now: the present.

        Raises:
            InvalidId, InvalidValue: the entry cannot be stored; the message names the place.
        """
        return await self._write(
            self._writes.send(
                mailbox_id,
                payload,
                dedupe_key=dedupe_key,
                priority=priority,
                delay_ms=delay_ms,
                sender_id=sender_id,
                origin=origin,
                now=now,
            )
        )

    async def enqueue(self, entry: MailboxEntry) -> None:
        """Put an entry as it is, which must be queued; `send` fills in what this wants.

        Raises:
            AlreadyExists: the entry's id is known, or the mailbox has seen its dedupe key.
            GenerationMismatch: the mailbox is at another generation.
            InvalidId, InvalidValue: the entry cannot be stored; the message names the place.
        """
        await self._write(self._writes.enqueue(entry))

    async def ensure(self, mailbox_id: str, *, now: int | None = None) -> MailboxState:
        """The mailbox's state, made at generation 0 if there is none; its `updated_at` is now."""
        return await self._write(self._writes.ensure(mailbox_id, now=now))

    async def claim(
        self,
        limit: int = 1,
        *,
        consumer: str,
        lease_ms: int = 30_000,
        mailbox_id: str | None = None,
        now: int | None = None,
    ) -> tuple[MailboxEntry, ...]:
        """Take up to `limit` entries that are due, at most one from each mailbox.

        None comes from a mailbox in which somebody holds a live lease. Those of the highest
        priority come first, then those that have been due longest. An entry whose lease has run out
        is due again. If nothing is due it returns nothing at once; `wait` waits.

        Args:
            limit: how many at most.
            consumer: your name, for `MailboxEntry.claimed_by`.
            lease_ms: how many milliseconds nobody else can take them; `extend_lease` adds to it.
            mailbox_id: take from this mailbox only.
            now: the present.

        Raises:
            InvalidId, InvalidValue: an argument is out of its range.
        """
        request = ClaimRequest(
            consumer=consumer, limit=limit, lease_ms=lease_ms, mailbox_id=mailbox_id, now=now
        )
        check_optional_id("mailbox", mailbox_id)
        return await self._backend.claim(checked(request, "claim"))

    async def claim_entry(
        self, entry_id: str, *, consumer: str, lease_ms: int = 30_000, now: int | None = None
    ) -> MailboxEntry | None:
        """Take one entry by its id, even if it is not due yet.

        None if there is no such entry, if it has ended, or if a lease is live in its mailbox.
        """
        request = ClaimRequest(
            consumer=consumer, lease_ms=lease_ms, entry_id=check_id("entry", entry_id), now=now
        )
        entries = await self._backend.claim(checked(request, "claim_entry"))
        return entries[0] if entries else None

    async def ack(
        self, entry: MailboxEntry | str, claim_token: str | None = None, *, now: int | None = None
    ) -> None:
        """Settle a claimed entry as done.

        Raises:
            NotFound: there is no such entry.
            ClaimConflict: it is not claimed with this token (any more). A lease that has run out
                is no reason as long as nobody else has claimed the entry.
        """
        await self._write(self._writes.ack(entry, claim_token, now=now))

    async def nack(
        self,
        entry: MailboxEntry | str,
        claim_token: str | None = None,
        *,
        retry_at: int | None = None,
        error: str = "",
        now: int | None = None,
    ) -> None:
        """Give a claimed entry back, to be tried again from `retry_at` on.

        Args:
            entry: the claimed entry, or its id.
            claim_token: its token, if `entry` is an id.
            retry_at: when it is due again, in unix milliseconds; None: at once.
            error: what went wrong, for `MailboxEntry.last_error`.
            now: the present.

        Raises:
            NotFound, ClaimConflict: as for `ack`.
        """
        await self._write(
            self._writes.nack(entry, claim_token, retry_at=retry_at, error=error, now=now)
        )

    async def dead_letter(
        self,
        entry: MailboxEntry | str,
        claim_token: str | None = None,
        *,
        error: str = "",
        now: int | None = None,
    ) -> None:
        """Settle a claimed entry as failed for good.

        Raises:
            NotFound, ClaimConflict: as for `ack`.
        """
        await self._write(self._writes.dead_letter(entry, claim_token, error=error, now=now))

    async def release(
        self, entry: MailboxEntry | str, claim_token: str | None = None, *, now: int | None = None
    ) -> None:
        """Give a claimed entry back untouched: the claim does not count as an attempt.

        Raises:
            NotFound, ClaimConflict: as for `ack`.
        """
        await self._write(self._writes.release(entry, claim_token, now=now))

    async def extend_lease(
        self,
        entry: MailboxEntry | str,
        claim_token: str | None = None,
        *,
        extension_ms: int = 30_000,
        now: int | None = None,
    ) -> bool:
        """Keep a claim for `extension_ms` from now. Returns False if it is not held any more.

        One that ran out is held as long as nobody has claimed an entry of its mailbox.
        """
        return await self._write(
            self._writes.extend_lease(entry, claim_token, extension_ms=extension_ms, now=now)
        )

    async def cancel(self, entry_id: str, *, now: int | None = None) -> MailboxEntry | None:
        """End an entry that is not wanted, the claimed one too; one that has ended stays as it is.

        Returns the entry as it is then, or None if there is none.
        """
        return await self._write(self._writes.cancel(entry_id, now=now))

    async def supersede(
        self, entry_id: str, reason: str, *, now: int | None = None
    ) -> MailboxEntry | None:
        """End an entry because of something newer; `reason` is kept in `MailboxEntry.last_error`.

        Returns what `cancel` does.
        """
        return await self._write(self._writes.supersede(entry_id, reason, now=now))

    async def cancel_pending(
        self, mailbox_id: str, *, exclude: str | None = None, now: int | None = None
    ) -> tuple[MailboxEntry, ...]:
        """Cancel all that has not ended in a mailbox, the claimed entry too, but not `exclude`.

        Returns the entries that this has cancelled, in the order of their ids.
        """
        return await self._write(self._writes.cancel_pending(mailbox_id, exclude=exclude, now=now))

    async def interrupt(self, mailbox_id: str, *, now: int | None = None) -> Interrupted:
        """Start a mailbox anew: one generation on, and all that is older is superseded.

        So is the claimed entry, whose holder can write nothing more (`BatchMailboxes.hold`).
        """
        return await self._write(self._writes.interrupt(mailbox_id, now=now))

    async def requeue(self, entry_id: str, *, now: int | None = None) -> MailboxEntry | None:
        """Queue a dead letter again, due at once, its attempts counted anew.

        Any other entry stays as it is. Returns the entry, or None if there is none.
        """
        return await self._write(self._writes.requeue(entry_id, now=now))

    async def purge(self, older_than: int) -> int:
        """Remove entries that ended before `older_than` (unix milliseconds). Returns how many.

        The mailbox forgets their dedupe keys with them.
        """
        return await self._write(self._writes.purge(older_than))

    async def load(self, entry_id: str) -> MailboxEntry | None:
        """Read an entry, or None if there is none."""
        return await self._backend.load_entry(check_id("entry", entry_id))

    async def load_state(self, mailbox_id: str) -> MailboxState | None:
        """Read a mailbox's state, or None if nothing was ever sent to it."""
        return await self._backend.load_mailbox(check_id("mailbox", mailbox_id))

    async def list_states(self, *, offset: int = 0, limit: int = 50) -> MailboxPage:
        """List mailboxes' states in the order of their ids; `limit` is clamped to 1..200."""
        query = checked(MailboxQuery(offset=offset, limit=limit), "list_states")
        return await self._backend.list_mailboxes(query)

    async def list(
        self,
        *,
        offset: int = 0,
        limit: int = 50,
        mailbox_id: str | None = None,
        status: EntryStatus | None = None,
        origin: EntryOrigin | None = None,
    ) -> EntryPage:
        """List entries for which all holds that is given, oldest first.

        `limit` is clamped to 1..200.
        """
        query = EntryQuery(
            offset=offset, limit=limit, mailbox_id=mailbox_id, status=status, origin=origin
        )
        check_optional_id("mailbox", mailbox_id)
        return await self._backend.list_entries(checked(query, "list"))

    async def stats(self, mailbox_id: str | None = None) -> MailboxStats:
        """Count the entries in each status, of one mailbox or of all."""
        check_optional_id("mailbox", mailbox_id)
        return await self._backend.count_entries(mailbox_id)

    async def wait(self, timeout_ms: int, *, mailbox_id: str | None = None) -> None:
        """Sleep until there may be something to claim, for `timeout_ms` milliseconds at most.

        It is a hint: it may return early, so claim in a loop.
        """
        check_optional_id("mailbox", mailbox_id)
        await self._backend.wait(check_integer("wait.timeout_ms", timeout_ms), mailbox_id)
