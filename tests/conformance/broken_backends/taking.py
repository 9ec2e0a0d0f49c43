"""Backends that break the rules of taking more."""

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from tests.conformance.broken_backends.broken_backend import Twisted, breaks
from treadle.backends.base import Guarantee
from treadle.backends.memory.backend import MemoryBackend
from treadle.backends.model.tables import Tables
from treadle.core.claims import ClaimRequest, ExtendLease, choose, is_kept
from treadle.core.commands import AnyCommand, Commands, Receipt
from treadle.core.mailbox_pauses import without_pause
from treadle.core.mailboxes import UNFINISHED, MailboxEntry
from treadle.core.taking import Take


def is_taken(row: Any) -> bool:
    return isinstance(row, MailboxEntry) and "/" in (row.claim_token or "")


@breaks(Guarantee.ONE_HOLDER, "a take needs the token of the claim")
class Trusting(Twisted):
    """Lets anybody take."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        return self.with_right_token(command) if isinstance(command, Take) else command


@breaks(Guarantee.ONE_HOLDER, "who lost a claim takes nothing: its lease ran out")
class Timeless(Twisted):
    """Lets a holder take although the lease has expired."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        return replace(command, now=0) if isinstance(command, Take) else command


@breaks(Guarantee.ONE_HOLDER, "what is taken has the lease and the consumer of its holder and")
class OneToken(Tables):
    """Gives what is taken the token of the claim."""

    def put(self, table: Any, key: str, row: Any) -> None:
        if is_taken(row):
            row = replace(row, claim_token=row.claim_token.partition("/")[0])
        super().put(table, key, row)


@breaks(Guarantee.ONE_HOLDER, "what is taken has the lease and the consumer of its holder and")
class FreshLease(Tables):
    """Gives what is taken a lease that begins with the take."""

    def put(self, table: Any, key: str, row: Any) -> None:
        before = self.entries.get(key) if table == "entries" else None
        if is_taken(row) and before and before.status == "queued":
            row = replace(row, lease_until=row.updated_at + 500)
        super().put(table, key, row)


@breaks(Guarantee.ONE_HOLDER, "nobody claims from a mailbox while any of the taken is held")
class Released(Tables):
    """Gives a mailbox away once the entry is settled that was claimed first."""

    def find_claimable(self, request: ClaimRequest, now: int) -> list[MailboxEntry]:
        found = [each for each in self.find_entries(None, UNFINISHED) if not is_taken(each)]
        return choose(found, request, now)


@breaks(Guarantee.ONE_HOLDER, "extending one lease extends all of its holder")
class OneLease(MemoryBackend):
    """Extends the lease of the entry that is named, and leaves those beside it."""

    async def commit(self, batch: Commands) -> Receipt:
        before = dict(self.tables.entries)
        receipt = await super().commit(batch)
        if all(isinstance(command, ExtendLease) for command in batch):
            named = {getattr(command, "entry_id", None) for command in batch}
            others = {key: row for key, row in before.items() if key not in named}
            self.tables.entries.update(others)
        return receipt


@breaks(Guarantee.FENCE, "what was taken is held together in a batch")
class Jealous(Tables):
    """Takes what a holder has taken for somebody else's."""

    def find_claimed(self, mailbox_id: str) -> Iterable[MailboxEntry]:
        return [
            replace(each, claim_token=each.entry_id) for each in super().find_claimed(mailbox_id)
        ]


@breaks(Guarantee.ORDER_IS_KEPT, "a take gets nothing from behind a retry that keeps its order")
class Overtaking(Tables):
    """Lets a holder take what is behind a retry that waits."""

    def find_waiting(self, mailbox_id: str, number: int, now: int) -> Iterable[MailboxEntry]:
        found = super().find_waiting(mailbox_id, number, now)
        return [each for each in found if not is_kept(each)]


@breaks(Guarantee.ORDER_IS_KEPT, "several that fail together keep their order though the clock: w")
class Levelling(Tables):
    """Gives all retries that keep their order one turn."""

    def put(self, table: Any, key: str, row: Any) -> None:
        if isinstance(row, MailboxEntry) and is_kept(row):
            row = replace(row, turn=0)
        super().put(table, key, row)


@breaks(Guarantee.ORDER_IS_KEPT, "retries keep their order when the claim of the first expires")
class Hopeful(Tables):
    """Puts a retry whose claim has expired behind those that wait."""

    def find_claimable(self, request: ClaimRequest, now: int) -> list[MailboxEntry]:
        entries = [
            replace(each, turn=each.available_at) if each.status == "claimed" else each
            for each in self.find_entries(None, UNFINISHED)
        ]
        return [self.entries[each.entry_id] for each in choose(entries, request, now)]


@breaks(Guarantee.PAUSES_HOLD, "a take gets nothing while its mailbox is paused")
class Restless(MemoryBackend):
    """Lets a holder take from a paused mailbox."""

    async def commit(self, batch: Commands) -> Receipt:
        states = dict(self.tables.mailboxes)
        if not all(isinstance(command, Take) for command in batch):
            return await super().commit(batch)
        for key, state in states.items():
            self.tables.mailboxes[key] = without_pause(state)
        try:
            return await super().commit(batch)
        finally:
            self.tables.mailboxes.update(states)
