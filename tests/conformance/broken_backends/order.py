"""Backends that break the rules of order in a mailbox."""

from typing import Any

from msgspec.structs import replace

from tests.conformance.broken_backends.broken_backend import Twisted, breaks
from treadle.backends.base import Guarantee
from treadle.backends.model.tables import Tables
from treadle.core.claims import ClaimRequest, Nack, choose, is_kept
from treadle.core.commands import AnyCommand
from treadle.core.mailboxes import MailboxEntry, MailboxState


@breaks(
    Guarantee.ORDER_IS_KEPT,
    "entries sent one after the other are claimed in that order though the clock: goes back",
)
class ByTheClock(Tables):
    """Orders what was sent by the clock alone."""

    def find_claimable(self, request: ClaimRequest, now: int) -> list[MailboxEntry]:
        timed = [entry if is_kept(entry) else replace(entry, turn=None) for entry in _all(self)]
        return [self.entries[entry.entry_id] for entry in choose(timed, request, now)]


@breaks(Guarantee.ORDER_IS_KEPT, "what is sent without a delay is due at once though the clock")
class Waiting(Tables):
    """Gives what was sent only when the clock is there again."""

    def find_claimable(self, request: ClaimRequest, now: int) -> list[MailboxEntry]:
        found = super().find_claimable(request, now)
        return [entry for entry in found if entry.status == "claimed" or entry.available_at <= now]


@breaks(Guarantee.ORDER_IS_KEPT, "a mailbox remembers the last turn that it gave")
class Forgetful(Tables):
    """Does not remember the last turn of a mailbox."""

    def put(self, table: Any, key: str, row: Any) -> None:
        super().put(table, key, replace(row, last_turn=0) if isinstance(row, MailboxState) else row)


@breaks(Guarantee.ORDER_IS_KEPT, "a retry that keeps its order holds back what is behind it")
class Overtaking(Twisted):
    """Lets others pass an entry that waits for its retry."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        return replace(command, keep_order=False) if isinstance(command, Nack) else command


@breaks(Guarantee.ORDER_IS_KEPT, "a retry that keeps its order comes first however long others")
class BackInLine(Tables):
    """Puts a retry that is due in line by its new time."""

    def find_claimable(self, request: ClaimRequest, now: int) -> list[MailboxEntry]:
        timed = [
            replace(entry, turn=None) if is_kept(entry) and entry.available_at <= now else entry
            for entry in _all(self)
        ]
        return [self.entries[entry.entry_id] for entry in choose(timed, request, now)]


@breaks(Guarantee.ORDER_IS_KEPT, "what is more urgent is claimed before a retry that keeps")
class Unmoved(Tables):
    """Holds back everything behind a retry, however urgent."""

    def find_claimable(self, request: ClaimRequest, now: int) -> list[MailboxEntry]:
        waiting = {e.mailbox_id for e in _all(self) if is_kept(e) and e.available_at > now}
        found = super().find_claimable(request, now)
        return [entry for entry in found if entry.mailbox_id not in waiting]


@breaks(Guarantee.ORDER_IS_KEPT, "only the retry itself is claimed by its id")
class ByName(Tables):
    """Gives an entry by its id, whatever waits before it."""

    def find_claimable(self, request: ClaimRequest, now: int) -> list[MailboxEntry]:
        entry = self.entries.get(request.entry_id or "")
        if entry is None:
            return list(super().find_claimable(request, now))
        held = [each for each in self.find_claimed(entry.mailbox_id) if each is not entry]
        return choose([entry, *held], request, now)


@breaks(Guarantee.ORDER_IS_KEPT, "a released entry keeps its turn")
class Requeueing(Tables):
    """Puts a released entry at the end of the line."""

    def put(self, table: Any, key: str, row: Any) -> None:
        before = self.entries.get(key) if table == "entries" else None
        if before and row and (before.status, row.status) == ("claimed", "queued"):
            row = replace(row, turn=row.turn and 2**62)
        super().put(table, key, row)


def _all(tables: Tables) -> list[MailboxEntry]:
    return list(tables.entries.values())
