"""Backends that break the rules of pauses."""

from typing import Any

from msgspec.structs import replace

from tests.conformance.broken_backends.broken_backend import Twisted, breaks
from treadle.backends.base import Guarantee
from treadle.backends.model.tables import Tables
from treadle.core.claims import ClaimRequest, choose
from treadle.core.commands import AnyCommand
from treadle.core.mailbox_pauses import Pause, is_paused
from treadle.core.mailboxes import UNFINISHED, MailboxEntry, MailboxState


@breaks(Guarantee.PAUSES_HOLD, "a paused mailbox takes sends and gives nothing")
class Restless(Tables):
    """Gives what is in a paused mailbox."""

    def find_claimable(self, request: ClaimRequest, now: int) -> list[MailboxEntry]:
        return choose(self.find_entries(None, UNFINISHED), request, now)


@breaks(Guarantee.PAUSES_HOLD, "a paused mailbox takes sends and gives nothing")
class Personal(Tables):
    """Gives an entry of a paused mailbox by its id."""

    def find_claimable(self, request: ClaimRequest, now: int) -> list[MailboxEntry]:
        if request.entry_id is None:
            return list(super().find_claimable(request, now))
        return choose(self.find_entries(None, UNFINISHED), request, now)


@breaks(Guarantee.PAUSES_HOLD, "a pause ends at its time for claims from: any mailbox")
class Endless(Twisted):
    """Forgets when a pause ends."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        return replace(command, until=None) if isinstance(command, Pause) else command


@breaks(Guarantee.PAUSES_HOLD, "an interrupt ends a pause")
class Stubborn(Tables):
    """Keeps a mailbox paused when it is interrupted."""

    def put(self, table: Any, key: str, row: Any) -> None:
        before = self.mailboxes.get(key) if table == "mailboxes" else None
        if isinstance(row, MailboxState) and before:
            interrupted = before.current_generation < row.current_generation
            row = replace(row, paused_at=before.paused_at) if interrupted else row
        super().put(table, key, row)


@breaks(Guarantee.PAUSES_HOLD, "a pause leaves the claim that is held")
class Grabbing(Tables):
    """Gives an entry of a paused mailbox whose lease has expired."""

    def find_claimable(self, request: ClaimRequest, now: int) -> list[MailboxEntry]:
        found = choose(self.find_entries(None, UNFINISHED), request, now)
        return [
            entry
            for entry in found
            if entry.status == "claimed" or not is_paused(self.mailboxes[entry.mailbox_id], now)
        ]


@breaks(Guarantee.PAUSES_HOLD, "a pause holds again if the clock goes back")
class Lifting(Tables):
    """Forgets a pause that a claim has found to be over."""

    def find_claimable(self, request: ClaimRequest, now: int) -> list[MailboxEntry]:
        for key, state in list(self.mailboxes.items()):
            if state.paused_until is not None and state.paused_until <= now:
                self.mailboxes[key] = replace(state, paused_at=None)
        return list(super().find_claimable(request, now))
