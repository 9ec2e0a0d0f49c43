"""Backends that break the rules of claims."""

import asyncio
from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from tests.conformance.broken_backends.broken_backend import breaks
from treadle.backends.base import Guarantee
from treadle.backends.memory.backend import MemoryBackend
from treadle.backends.model.tables import Tables
from treadle.core.claims import ClaimRequest, choose, claim_order, is_claimable
from treadle.core.mailbox_queries import LoadClaims
from treadle.core.mailboxes import MailboxEntry


@breaks(Guarantee.ONE_HOLDER, "a claim of several returns them in claim order")
class Unfair(Tables):
    """Takes the last in line first."""

    def find_claimable(self, request: ClaimRequest, now: int) -> list[MailboxEntry]:
        return list(super().find_claimable(request, now))[::-1]


@breaks(Guarantee.ONE_HOLDER, "the claim order is decided by: priority")
class Levelling(Tables):
    """Does not look at priorities."""

    def find_claimable(self, request: ClaimRequest, now: int) -> list[MailboxEntry]:
        level = [replace(entry, priority=0) for entry in self.entries.values()]
        return [self.entries[entry.entry_id] for entry in choose(level, request, now)]


@breaks(Guarantee.ONE_HOLDER, "an entry is claimed when it is due and not before")
class Hasty(Tables):
    """Takes work that is not due."""

    def find_claimable(self, request: ClaimRequest, now: int) -> list[MailboxEntry]:
        due = [
            replace(entry, available_at=0) if entry.status == "queued" else entry
            for entry in self.entries.values()
        ]
        return [self.entries[entry.entry_id] for entry in choose(due, request, now)]


@breaks(Guarantee.ONE_HOLDER, "an entry with an expired lease is claimed again as another attempt")
class Abandoning(Tables):
    """Never takes over from a holder that has died."""

    def find_claimable(self, request: ClaimRequest, now: int) -> list[MailboxEntry]:
        return [e for e in super().find_claimable(request, now) if e.status == "queued"]


@breaks(Guarantee.ONE_HOLDER, "the first in line is claimed when a lease expires")
class OffByOne(Tables):
    """Holds a lease to be live in the millisecond in which it ends."""

    def find_claimable(self, request: ClaimRequest, now: int) -> list[MailboxEntry]:
        late = [
            replace(e, lease_until=e.lease_until + 1) if e.lease_until is not None else e
            for e in self.entries.values()
        ]
        return [self.entries[entry.entry_id] for entry in choose(late, request, now)]


@breaks(Guarantee.ONE_HOLDER, "a restored claim without a lease holds its mailbox alone")
class Impatient(Tables):
    """Takes a claim without a lease for one that has expired."""

    def find_claimable(self, request: ClaimRequest, now: int) -> list[MailboxEntry]:
        leased = [
            replace(e, lease_until=0) if e.status == "claimed" and e.lease_until is None else e
            for e in self.entries.values()
        ]
        return [self.entries[entry.entry_id] for entry in choose(leased, request, now)]


@breaks(Guarantee.ONE_HOLDER, "a claim takes one entry from each mailbox")
class Greedy(Tables):
    """Takes several entries from a mailbox."""

    def find_claimable(self, request: ClaimRequest, now: int) -> list[MailboxEntry]:
        due = [entry for entry in self.entries.values() if is_claimable(entry, now)]
        wanted = [e for e in due if request.mailbox_id in (None, e.mailbox_id)]
        return sorted(wanted, key=claim_order)[: max(request.limit, 0)]


@breaks(Guarantee.ONE_HOLDER, "a mailbox with a live lease gives nothing however urgent")
class Pushing(Tables):
    """Claims an entry by its id from a mailbox that somebody holds."""

    def find_claimable(self, request: ClaimRequest, now: int) -> list[MailboxEntry]:
        if request.entry_id is None:
            return list(super().find_claimable(request, now))
        return choose([self.entries[request.entry_id]], request, now)


@breaks(Guarantee.ONE_HOLDER, "every claim has a new token")
class OneToken(MemoryBackend):
    """Gives everybody the same token."""

    async def claim(self, request: ClaimRequest) -> tuple[MailboxEntry, ...]:
        claimed = await super().claim(request)
        token = "00000000-0000-4000-8000-000000000000"
        for entry in claimed:
            self.tables.entries[entry.entry_id] = replace(entry, claim_token=token)
        return tuple(replace(entry, claim_token=token) for entry in claimed)


@breaks(Guarantee.ONE_HOLDER, "claims at the same moment never share an entry")
class Unlocked(MemoryBackend):
    """Looks, waits a moment, and then takes."""

    async def claim(self, request: ClaimRequest) -> tuple[MailboxEntry, ...]:
        now = self._clock() if request.now is None else request.now
        before = dict(self.tables.entries)
        chosen = list(self.tables.find_claimable(request, now))
        await asyncio.sleep(0)
        for entry in chosen:
            self.tables.entries[entry.entry_id] = before[entry.entry_id]
        claimed = await super().claim(request)
        await asyncio.sleep(0)
        return claimed


@breaks(Guarantee.ONE_HOLDER, "a claim of many takes one from every mailbox")
class Moderate(Tables):
    """Gives no more than a page of entries."""

    def find_claimable(self, request: ClaimRequest, now: int) -> list[MailboxEntry]:
        return list(super().find_claimable(request, now))[:200]


@breaks(
    Guarantee.ONE_HOLDER, "an entry with an expired lease is claimed again as another attempt: by"
)
class Loyal(Tables):
    """Does not count it as an attempt when a consumer takes over from itself."""

    def put(self, table: Any, key: str, row: Any) -> None:
        before = self.entries.get(key) if table == "entries" else None
        if row is not None and before and row.status == "claimed" == before.status:
            row = replace(row, attempt_count=before.attempt_count + self._is_other(row, before))
        super().put(table, key, row)

    def _is_other(self, row: MailboxEntry, before: MailboxEntry) -> bool:
        return row.claimed_by != before.claimed_by


@breaks(Guarantee.TIME_IS_GIVEN, "a claim happens at its own time")
class Selfsure(MemoryBackend):
    """Claims by its own clock only."""

    async def claim(self, request: ClaimRequest) -> tuple[MailboxEntry, ...]:
        return await super().claim(replace(request, now=None))


@breaks(Guarantee.ONE_HOLDER, "claims say who holds entries in the order of their ids")
class Sorting(MemoryBackend):
    """Answers in the order of its table who holds entries, and each once."""

    async def read(self, query: Any) -> Any:
        if isinstance(query, LoadClaims):
            query = replace(query, entry_ids=tuple(sorted(set(query.entry_ids))))
        return await super().read(query)


@breaks(Guarantee.ONE_HOLDER, "claims say who holds entries in the order of their ids")
class Presuming(MemoryBackend):
    """Takes a claim for lost as soon as its lease has expired."""

    async def read(self, query: Any) -> Any:
        answer = await super().read(query)
        if not isinstance(query, LoadClaims):
            return answer
        now = self._clock()
        return tuple(claim if claim and claim.lease_until > now else None for claim in answer)


@breaks(Guarantee.ONE_HOLDER, "mailboxes of one prefix are claimed when their lease expires")
class Grasping(Tables):
    """Takes from all mailboxes, whichever prefix they have."""

    def find_claimable(self, request: ClaimRequest, now: int) -> Iterable[MailboxEntry]:
        return super().find_claimable(replace(request, among=None), now)
