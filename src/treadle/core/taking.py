"""Taking more: the holder of a mailbox may take further due entries of it under the same lease."""

from collections.abc import Iterable

from treadle.core.claims import (
    ClaimRows,
    is_claimable,
    is_kept,
    is_of_one_holder,
    require_entry,
    require_held,
    taken,
    turn_order,
)
from treadle.core.commands import TimedCommand
from treadle.core.ids import EntryId
from treadle.core.limits import Bound
from treadle.core.mailbox_pauses import is_paused
from treadle.core.mailboxes import MailboxEntry
from treadle.core.read_set import ReadSet


def choose_further(
    entries: Iterable[MailboxEntry], held: MailboxEntry, limit: int, now: int
) -> list[MailboxEntry]:
    """The take rule: what the holder of `held` gets of all `entries` of its mailbox, in order.

    Claims would give these, one after the other, if nobody held the mailbox. So it ends where a
    retry holds back others, and before an entry of another generation.
    """
    rivals = [
        entry
        for entry in entries
        if not is_of_one_holder(entry, held) and (is_claimable(entry, now) or is_kept(entry))
    ]
    chosen: list[MailboxEntry] = []
    for entry in sorted(rivals, key=turn_order)[: max(limit, 0)]:
        if not is_claimable(entry, now) or entry.generation != held.generation:
            break
        chosen.append(entry)
    return chosen


class Take(TimedCommand[tuple[MailboxEntry, ...]], frozen=True, kw_only=True):
    """Claims further entries of a mailbox for the holder of `entry_id`. Result: these entries.

    They are those that are due, at most `limit`, in the order of claims: what claims would give if
    nobody held the mailbox; nothing while it is paused. Each has a token of its own, the consumer
    of the held entry, and its lease. Fails with `NotFound`, or with `ClaimConflict` if the claim is
    not held, as `Hold` does.
    """

    entry_id: EntryId
    claim_token: str
    name: str
    """A text that is unique among the takes of the holder; the tokens of the entries contain it."""
    limit: Bound = 1

    def touches(self, read_set: ReadSet) -> None:
        """The entry, what is claimed beside it, and what waits first in its mailbox."""
        read_set.entries.add(self.entry_id)
        read_set.claimed_beside.add(self.entry_id)
        read_set.add_waiting(self.entry_id, max(self.limit, 0))

    def apply(self, rows: ClaimRows, now: int) -> tuple[MailboxEntry, ...]:
        """Put the entries, each with a token."""
        held = require_entry(rows, self.entry_id)
        require_held(rows, held, self.claim_token, now)
        if is_paused(rows.mailboxes.get(held.mailbox_id), now):
            return ()
        waiting = rows.find_waiting(held.mailbox_id, max(self.limit, 0), now)
        chosen = choose_further(waiting, held, self.limit, now)
        further = tuple(
            taken(entry, held, f"{self.name}.{number}", now)
            for number, entry in enumerate(chosen, start=1)
        )
        for entry in further:
            rows.entries.put(entry.entry_id, entry)
        return further
