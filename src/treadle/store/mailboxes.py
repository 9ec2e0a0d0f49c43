"""Mailboxes, as a user of a store sees them."""

from collections.abc import Collection

import msgspec

from treadle.backends.base import Backend
from treadle.core.claims import ClaimRequest
from treadle.core.codec import check_integer, checked
from treadle.core.entry_groups import CountGroups, EntryGroup, GroupCounts
from treadle.core.explaining import ExplainEntry, Explanation
from treadle.core.id_ranges import ranges_of
from treadle.core.ids import check_id, check_ids, check_optional_id
from treadle.core.limits import COUNTED
from treadle.core.mailbox_queries import (
    SUMMED,
    Claim,
    CountEntries,
    EntryKey,
    FoundEntries,
    ListEntries,
    ListMailboxes,
    ListMailboxSummaries,
    LoadClaims,
    LoadEntry,
    LoadMailbox,
    MailboxKey,
    MailboxSummaryPage,
    SearchEntries,
)
from treadle.core.mailbox_reports import (
    Consumers,
    EntryReport,
    ErrorGroups,
    ListConsumers,
    ListErrors,
    ReportEntries,
)
from treadle.core.mailboxes import (
    EntryOrigin,
    EntryPage,
    EntryStatus,
    MailboxEntry,
    MailboxPage,
    MailboxState,
    MailboxStats,
)
from treadle.core.pages import Order
from treadle.core.queries import as_optional_tuple, as_tuple, check_query
from treadle.store.mailbox_writes import MailboxWrites
from treadle.store.writes import NewWrite


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
        mailbox_prefix: str | tuple[str, ...] | None = None,
        except_prefix: str | tuple[str, ...] = (),
        now: int | None = None,
    ) -> tuple[MailboxEntry, ...]:
        """Claim up to `limit` due entries, at most one from each mailbox.

        Nothing is claimed from a mailbox with a live lease. Entries of the highest priority come
        first, then those that have been due longest. An entry whose lease has expired is due again.
        If nothing is due, the result is empty at once; `wait` waits.

        Programs that do different work on one store claim from mailboxes of their own:
        ``claim(consumer="me", mailbox_prefix="emails:")``. On a database, such a claim reads
        about as many mailboxes as wait with the prefix, or as wait without it and come before
        those that it gets, whichever is less.

        Args:
            limit: how many at most.
            consumer: your name, for `MailboxEntry.claimed_by`.
            lease_ms: for how many milliseconds nobody else can claim them; see `extend_lease`.
            mailbox_id: claim from this mailbox only.
            mailbox_prefix: claim only from mailboxes whose ids begin with this text, or with one of
                a tuple of them, 100 at most.
            except_prefix: claim from no mailbox whose id begins with this text, or with one of a
                tuple of them.
            now: the present.

        Raises:
            InvalidId, InvalidValue: an argument is out of its range, or a mailbox is named beside
                prefixes.
        """
        among = ranges_of(mailbox_id, mailbox_prefix, except_prefix, "claim.")
        request = ClaimRequest(
            consumer=consumer, limit=limit, lease_ms=lease_ms, mailbox_id=mailbox_id, now=now
        )
        check_ids(request)
        request = checked(request, "claim")
        if among is not None:
            request = msgspec.structs.replace(request, among=among)
        return await self._backend.claim(request)

    async def claim_entry(
        self, entry_id: str, *, consumer: str, lease_ms: int = 30_000, now: int | None = None
    ) -> MailboxEntry | None:
        """Claim one entry by its id, even if it is not due yet.

        None if it does not exist, has ended, or if a lease is live in its mailbox. None, too, if
        that is paused, or if a retry that keeps its order comes before the entry and is not due.
        """
        check_id("entry", entry_id)  # None would claim any entry
        request = ClaimRequest(consumer=consumer, lease_ms=lease_ms, entry_id=entry_id, now=now)
        entries = await self._backend.claim(checked(request, "claim_entry"))
        return entries[0] if entries else None

    async def wait(
        self,
        timeout_ms: int,
        *,
        mailbox_id: str | None = None,
        mailbox_prefix: str | tuple[str, ...] | None = None,
        except_prefix: str | tuple[str, ...] = (),
    ) -> None:
        """Wait until an entry may be claimable, for at most `timeout_ms` milliseconds.

        It may return early, so claim in a loop.

        Args:
            timeout_ms: for how long at most.
            mailbox_id: an entry of this mailbox.
            mailbox_prefix: an entry of a mailbox whose id begins so, as for `claim`.
            except_prefix: an entry of a mailbox whose id does not begin so.

        Raises:
            InvalidId, InvalidValue: an argument is out of its range, or a mailbox is named beside
                prefixes.
        """
        check_optional_id("mailbox", mailbox_id)
        timeout_ms = check_integer("wait.timeout_ms", timeout_ms)
        among = ranges_of(mailbox_id, mailbox_prefix, except_prefix, "wait.")
        if among is None:
            await self._backend.wait(timeout_ms, mailbox_id)
        else:
            await self._backend.wait(timeout_ms, among=among)

    async def load(self, mailbox_id: str) -> MailboxState | None:
        """Read a mailbox's state; None if nothing was ever sent to it."""
        return await self._backend.read(check_query(LoadMailbox(mailbox_id=mailbox_id), "load"))

    async def list(self, *, offset: int = 0, limit: int = 50) -> MailboxPage:
        """List mailboxes' states in the order of their ids; `limit` is clamped to 1..200.

        For what waits in each, or the order of time, take `list_summaries`, which has a cursor.
        """
        query = ListMailboxes(offset=offset, limit=limit)
        return await self._backend.read(check_query(query, "list"))

    async def list_summaries(
        self,
        *,
        by: MailboxKey = "id",
        order: Order = "asc",
        after: str | None = None,
        limit: int = 50,
        counted: int = SUMMED,
    ) -> MailboxSummaryPage:
        """List mailboxes with their holders and the number of their entries, in pages by a cursor.

        A page costs the same however many mailboxes and entries there are, except on files, which
        look at all of them.

        Args:
            by: sort by id, or by `updated_at`, when the state last changed, and then by id. An
                interrupt changes a state; work does not.
            order: "asc" or "desc".
            after: `next_cursor` of the page before, which was read with the same `by`.
            limit: how many at most, clamped to 1..200.
            counted: how far the entries of each are counted, clamped to 1..10,000: the queued ones
                among the oldest, and what has ended, except dead letters, among the newest.

        Raises:
            InvalidValue: `after` is not a cursor of a listing in this order.
        """
        query = ListMailboxSummaries(by=by, order=order, after=after, limit=limit, counted=counted)
        return await self._backend.read(check_query(query, "list_summaries"))

    async def load_entry(self, entry_id: str) -> MailboxEntry | None:
        """Read an entry; None if it does not exist."""
        return await self._backend.read(check_query(LoadEntry(entry_id=entry_id), "load_entry"))

    async def load_claims(self, entry_ids: Collection[str]) -> tuple[Claim | None, ...]:
        """Read who holds up to 1,000 entries, in the order of the ids, without their payloads.

        None where an entry is not claimed, does not exist, or cannot be read. A claim is held for
        as long as its token is there, even if its lease has expired.

        Raises:
            InvalidId, InvalidValue: an id cannot be one, or they are too many.
        """
        query = LoadClaims(entry_ids=as_tuple(entry_ids, "load_claims.entry_ids"))
        return await self._backend.read(check_query(query, "load_claims"))

    async def list_entries(
        self,
        *,
        offset: int = 0,
        limit: int = 50,
        mailbox_id: str | None = None,
        status: EntryStatus | None = None,
        origin: EntryOrigin | None = None,
    ) -> EntryPage:
        """List the entries that match all filters, oldest first; `limit` is clamped to 1..200.

        For the newest, or what they wait for, take `search_entries`, which has a cursor.
        """
        query = ListEntries(
            offset=offset, limit=limit, mailbox_id=mailbox_id, status=status, origin=origin
        )
        return await self._backend.read(check_query(query, "list_entries"))

    async def search_entries(  # noqa: PLR0913
        self,
        *,
        by: EntryKey = "created_at",
        order: Order = "desc",
        after: str | None = None,
        limit: int = 50,
        mailbox_id: str | None = None,
        statuses: Collection[EntryStatus] | None = None,
        group: EntryGroup | None = None,
        error: str | None = None,
        claimed_by: str | None = None,
        sender_id: str | None = None,
        origin: EntryOrigin | None = None,
        since: int | None = None,
        now: int | None = None,
    ) -> FoundEntries:
        """List the entries that match all filters, newest first, in pages by a cursor.

        The last failures: ``search_entries(statuses=["dead_letter"], error="timeout")``.

        A page costs the same however many entries there are, except on files, which look at all of
        them. `error`, `sender_id`, `origin`, and a mailbox's accepted entries have no index: all
        that match the other filters are looked at, in order, until the page is full. By
        `available_at`, a page of one mailbox looks at all that waits there. The groups "due",
        "scheduled" and "retrying" have an index by `available_at`, and none by `created_at`.

        Args:
            by: sort by `created_at`, or by `available_at`, when an entry is due: then only queued
                entries are listed. Entries of one time are sorted by their ids.
            order: "desc" begins with the newest, "asc" with the oldest.
            after: `next_cursor` of the page before, which was read with the same `by`.
            limit: how many at most, clamped to 1..200.
            mailbox_id: only entries of this mailbox.
            statuses: only entries in one of these statuses.
            group: only entries that wait for the same thing, see `treadle.EntryGroup`.
            error: only entries whose `last_error` contains this text.
            claimed_by: only entries that this consumer has claimed, even if the lease has expired.
            sender_id: only entries of this sender.
            origin: only entries from this origin.
            since: only entries that were sent at this time or later.
            now: the present, for `group`.

        Raises:
            InvalidValue: `after` is not a cursor of a listing in this order.
        """
        query = SearchEntries(
            by=by,
            order=order,
            after=after,
            limit=limit,
            mailbox_id=mailbox_id,
            statuses=as_optional_tuple(statuses, "search_entries.statuses"),
            group=group,
            error=error,
            claimed_by=claimed_by,
            sender_id=sender_id,
            origin=origin,
            since=since,
            now=now,
        )
        return await self._backend.read(check_query(query, "search_entries"))

    async def explain(self, entry_id: str, *, now: int | None = None) -> Explanation | None:
        """Say why an entry does not run: what it waits for, who holds it, how it ended.

        One look at the store, whose cost does not depend on the depth of the mailbox.

        Args:
            entry_id: the entry.
            now: the present.

        Returns:
            Its obstacles, each with what is known of it. If there are none, the next claim from its
            mailbox gets it. None if the entry does not exist.

        Raises:
            InvalidId, InvalidValue: an argument is out of its range.
        """
        query = ExplainEntry(entry_id=entry_id, now=now)
        return await self._backend.read(check_query(query, "explain"))

    async def count_entries(self, mailbox_id: str | None = None) -> MailboxStats:
        """Count the entries in each status, of one mailbox or of all."""
        query = CountEntries(mailbox_id=mailbox_id)
        return await self._backend.read(check_query(query, "count_entries"))

    async def report(self, mailbox_id: str | None = None, *, now: int | None = None) -> EntryReport:
        """Read what waits, what is held, and what fails, in one mailbox or in all.

        The entries in each status; of the queued ones how many are due, scheduled for later or wait
        for a retry; how many leases have expired; since when the oldest is due; and the most
        frequent errors. All entries are counted, as by `count_entries`.

        Args:
            mailbox_id: only this mailbox.
            now: the present.
        """
        query = ReportEntries(mailbox_id=mailbox_id, now=now)
        return await self._backend.read(check_query(query, "report"))

    async def count_groups(
        self, mailbox_id: str | None = None, *, limit: int = COUNTED, now: int | None = None
    ) -> GroupCounts:
        """Count the entries by what they wait for, in one mailbox or in all, and never for long.

        A count stops at `limit`, and `more` names the groups that may have more entries. In one
        mailbox, what waits is counted among its oldest `limit`, and what has ended, except dead
        letters, among its newest `limit` entries.

        Args:
            mailbox_id: only this mailbox.
            limit: how far each group is counted, clamped to 1..10,000.
            now: the present.
        """
        query = CountGroups(mailbox_id=mailbox_id, limit=limit, now=now)
        return await self._backend.read(check_query(query, "count_groups"))

    async def errors(self, mailbox_id: str | None = None, *, limit: int = COUNTED) -> ErrorGroups:
        """Read the most frequent errors of the newest dead letters, in one mailbox or in all.

        Args:
            mailbox_id: only this mailbox.
            limit: how many dead letters are looked at, clamped to 1..10,000.
        """
        query = ListErrors(mailbox_id=mailbox_id, limit=limit)
        return await self._backend.read(check_query(query, "errors"))

    async def consumers(self, *, limit: int = COUNTED, now: int | None = None) -> Consumers:
        """Read who holds entries, how many, and until when.

        Args:
            limit: how many claimed entries are looked at, the newest ones; clamped to 1..10,000.
            now: the present.
        """
        query = ListConsumers(limit=limit, now=now)
        return await self._backend.read(check_query(query, "consumers"))
