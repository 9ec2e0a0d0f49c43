"""Mailboxes, as a user of a store sees them."""

from typing import cast

from weft.backends.base import Backend
from weft.core.clock import new_id
from weft.core.codec import Json, check_integer, checked
from weft.core.commands import (
    Ack,
    Cancel,
    CancelPending,
    DeadLetter,
    Enqueue,
    EnsureMailbox,
    ExtendLease,
    Interrupt,
    Nack,
    Purge,
    Release,
    Requeue,
    Send,
    Supersede,
)
from weft.core.ids import check_id, check_optional_id
from weft.core.mailboxes import (
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
from weft.errors import InvalidValue
from weft.store.writer import Writer


def claim_of(entry: MailboxEntry | str, claim_token: str | None) -> tuple[str, str]:
    """The id and token of a claim, given as the claimed entry or as the two themselves.

    Raises:
        InvalidValue: the entry is not claimed, or the token is missing.
    """
    if isinstance(entry, MailboxEntry):
        return claim_of(entry.entry_id, claim_token or entry.claim_token)
    if claim_token is None:
        raise InvalidValue(
            "claim_token", f"entry {entry!r} has none; pass the entry that claim returned"
        )
    return entry, claim_token


class Mailboxes:
    """Work waiting for agents: sent, claimed under a lease, settled."""

    def __init__(self, backend: Backend, write: Writer) -> None:
        self._backend = backend
        self._write = write

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
        """Put work into a mailbox, due after `delay_ms`; higher `priority` (0..255) comes first.

        If the mailbox has seen `dedupe_key`, nothing is written and the entry that is there comes
        back.

        Raises:
            InvalidId, InvalidValue: the entry cannot be stored; the message names the place.
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
        return cast("MailboxEntry", await self._write(command))

    async def enqueue(self, entry: MailboxEntry) -> None:
        """Put an entry as it is.

        Raises:
            AlreadyExists: the entry's id is known, or the mailbox has seen its dedupe key.
            GenerationMismatch: the mailbox is at another generation.
            InvalidId, InvalidValue: the entry cannot be stored; the message names the place.
        """
        await self._write(Enqueue(entry=entry))

    async def ensure(self, mailbox_id: str, *, now: int | None = None) -> MailboxState:
        """The mailbox's state, made at generation 0 if there is none."""
        command = EnsureMailbox(mailbox_id=mailbox_id, now=now)
        return cast("MailboxState", await self._write(command))

    async def claim(
        self,
        limit: int = 1,
        *,
        consumer: str,
        lease_ms: int = 30_000,
        mailbox_id: str | None = None,
        now: int | None = None,
    ) -> tuple[MailboxEntry, ...]:
        """Take up to `limit` due entries, at most one from each mailbox, for `lease_ms`.

        None comes from a mailbox in which somebody holds a live lease. Urgent ones come first.

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
        """Take one entry by its id, even if it is not due yet; None if it cannot be had."""
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
            ClaimConflict: it is not claimed with this token (any more).
        """
        entry_id, token = claim_of(entry, claim_token)
        await self._write(Ack(entry_id=entry_id, claim_token=token, now=now))

    async def nack(
        self,
        entry: MailboxEntry | str,
        claim_token: str | None = None,
        *,
        retry_at: int | None = None,
        error: str = "",
        now: int | None = None,
    ) -> None:
        """Give a claimed entry back, to be tried again from `retry_at` on (None: at once).

        Raises:
            NotFound, ClaimConflict: as for `ack`.
        """
        entry_id, token = claim_of(entry, claim_token)
        await self._write(
            Nack(entry_id=entry_id, claim_token=token, retry_at=retry_at, error=error, now=now)
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
        entry_id, token = claim_of(entry, claim_token)
        await self._write(DeadLetter(entry_id=entry_id, claim_token=token, error=error, now=now))

    async def release(
        self, entry: MailboxEntry | str, claim_token: str | None = None, *, now: int | None = None
    ) -> None:
        """Give a claimed entry back untouched: the claim does not count as an attempt.

        Raises:
            NotFound, ClaimConflict: as for `ack`.
        """
        entry_id, token = claim_of(entry, claim_token)
        await self._write(Release(entry_id=entry_id, claim_token=token, now=now))

    async def extend_lease(
        self,
        entry: MailboxEntry | str,
        claim_token: str | None = None,
        *,
        extension_ms: int = 30_000,
        now: int | None = None,
    ) -> bool:
        """Keep a claim for `extension_ms` from now; False if it is not held any more."""
        entry_id, token = claim_of(entry, claim_token)
        command = ExtendLease(
            entry_id=entry_id, claim_token=token, extension_ms=extension_ms, now=now
        )
        return bool(await self._write(command))

    async def cancel(self, entry_id: str, *, now: int | None = None) -> MailboxEntry | None:
        """End an entry that is not wanted; one that has ended stays as it is. None for none."""
        return cast("MailboxEntry | None", await self._write(Cancel(entry_id=entry_id, now=now)))

    async def supersede(
        self, entry_id: str, reason: str, *, now: int | None = None
    ) -> MailboxEntry | None:
        """End an entry because of something newer; else as `cancel`."""
        command = Supersede(entry_id=entry_id, reason=reason, now=now)
        return cast("MailboxEntry | None", await self._write(command))

    async def cancel_pending(
        self, mailbox_id: str, *, exclude: str | None = None, now: int | None = None
    ) -> tuple[MailboxEntry, ...]:
        """Cancel all that has not ended in a mailbox, the claimed entry too, but not `exclude`."""
        command = CancelPending(mailbox_id=mailbox_id, exclude=exclude, now=now)
        return cast("tuple[MailboxEntry, ...]", await self._write(command))

    async def interrupt(self, mailbox_id: str, *, now: int | None = None) -> Interrupted:
        """Start a mailbox anew: all that is older is superseded, the claimed entry too."""
        command = Interrupt(mailbox_id=mailbox_id, now=now)
        return cast("Interrupted", await self._write(command))

    async def requeue(self, entry_id: str, *, now: int | None = None) -> MailboxEntry | None:
        """Queue a dead letter again, its attempts counted anew; any other entry stays as it is."""
        return cast("MailboxEntry | None", await self._write(Requeue(entry_id=entry_id, now=now)))

    async def purge(self, older_than: int) -> int:
        """Remove entries that ended before `older_than` (unix ms). Returns how many.

        The mailbox forgets their dedupe keys with them.
        """
        return cast("int", await self._write(Purge(older_than=older_than)))

    async def load(self, entry_id: str) -> MailboxEntry | None:
        """Read an entry, or None."""
        return await self._backend.load_entry(check_id("entry", entry_id))

    async def load_state(self, mailbox_id: str) -> MailboxState | None:
        """Read a mailbox's state, or None."""
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
        """List entries, oldest first; `limit` is clamped to 1..200."""
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
        """Sleep until there may be something to claim, `timeout_ms` at most.

        It is a hint: it may return early, so claim in a loop.
        """
        check_optional_id("mailbox", mailbox_id)
        await self._backend.wait(check_integer("wait.timeout_ms", timeout_ms), mailbox_id)
