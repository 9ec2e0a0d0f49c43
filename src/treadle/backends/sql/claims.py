"""The part of claims that both databases share: sharing out entries, and the next due time."""

from collections.abc import Iterable, Sequence
from itertools import groupby, islice
from typing import TypeAlias

from treadle.backends.model.tables import Change
from treadle.backends.sql._mailboxes import write_entries
from treadle.backends.sql.program import Program, Read, Row, Statement
from treadle.clock import new_token
from treadle.core.claims import ClaimRequest, claimed
from treadle.core.mailboxes import MailboxEntry

Claimed: TypeAlias = tuple[MailboxEntry, ...]


def in_turn(requests: Sequence[ClaimRequest]) -> Iterable[list[ClaimRequest]]:
    """Group neighbouring requests whose entries can be chosen together."""
    for shares, group in groupby(requests, _can_share):
        together = list(group)
        yield from [together] if shares else [[request] for request in together]


def _can_share(request: ClaimRequest) -> bool:
    """Return True if it takes from all mailboxes, at the present, and leaves them held."""
    anywhere = request.mailbox_id is None and request.entry_id is None
    return anywhere and request.now is None and request.limit > 0 and request.lease_ms > 0


def take(
    requests: Sequence[ClaimRequest], entries: Iterable[MailboxEntry], now: int
) -> tuple[list[Claimed], tuple[Statement, ...]]:
    """Share out claimable entries: those of each request, and the statements that write it."""
    left = iter(entries)
    given: list[Claimed] = []
    changes: list[Change] = []
    for request in requests:
        taken = list(islice(left, max(0, request.limit)))
        held = tuple(claimed(entry, request, new_token(), now) for entry in taken)
        changes += map(_change, taken, held)
        given.append(held)
    return given, tuple(write_entries(changes))


def _change(before: MailboxEntry, after: MailboxEntry) -> Change:
    return Change("entries", before.entry_id, before, after)


def next_due(mailbox_ids: Sequence[str | None]) -> Program[list[int | None]]:
    """The time at which an entry of each mailbox may become claimable; None if none is waiting.

    The id None is for all mailboxes.
    """
    reads: list[Read] = []
    for mailbox_id in mailbox_ids:
        if mailbox_id is None:
            reads += (Read("next_ready", {}), Read("next_expiry", {}))
        else:
            reads.append(Read("next_of_mailbox", {"mailbox_id": mailbox_id}))
    answers = iter((yield tuple(reads)))
    return [
        _first_time(next(answers), next(answers))
        if mailbox_id is None
        else _time_in_mailbox(next(answers))
        for mailbox_id in mailbox_ids
    ]


def _first_time(ready: list[Row], expiry: list[Row]) -> int | None:
    times = [int(time) for ((time,),) in (ready, expiry) if time is not None]
    return min(times, default=None)


def _time_in_mailbox(rows: list[Row]) -> int | None:
    if not rows:
        return None
    lease_until, available_at = rows[0]
    due = available_at if lease_until is None else lease_until
    return None if due is None else int(due)
