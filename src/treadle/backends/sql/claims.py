"""Claims: queue heads are read in the order of claims, until there are enough.

What a claim costs depends neither on how much waits nor on how many mailboxes there are: only heads
that are due are read, and mailboxes whose lease has run out. The suite holds what is chosen here
against the rule, `treadle.core.mailboxes.choose`.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby, islice
from typing import TypeAlias

from treadle.backends.memory.tables import Change
from treadle.backends.sql.mailboxes import write_entries
from treadle.backends.sql.program import Program, Read, Row, Statement
from treadle.backends.sql.rows import id_list, read_entry
from treadle.core.clock import new_token
from treadle.core.limits import LARGEST_TIME
from treadle.core.mailboxes import ClaimRequest, MailboxEntry, claimed, has_expired

Claimed: TypeAlias = tuple[MailboxEntry, ...]


def claim(requests: Sequence[ClaimRequest], clock: int) -> Program[list[Claimed]]:
    """Put due entries into the consumers' hands, one request after the other.

    Requests of one kind share their statements: the first gets the best, the next what follows.
    """
    given: list[Claimed] = []
    for alike in in_turn(requests):
        given += yield from _claim(alike, clock)
    return given


def in_turn(requests: Sequence[ClaimRequest]) -> Iterable[list[ClaimRequest]]:
    """The requests, together where what they get can be looked for together."""
    for shares, group in groupby(requests, _can_share):
        together = list(group)
        yield from [together] if shares else [[request] for request in together]


def _can_share(request: ClaimRequest) -> bool:
    """Whether it takes from all mailboxes, at the present, and leaves them held."""
    anywhere = request.mailbox_id is None and request.entry_id is None
    return anywhere and request.now is None and request.limit > 0 and request.lease_ms > 0


def _claim(requests: list[ClaimRequest], clock: int) -> Program[list[Claimed]]:
    first = requests[0]
    now = clock if first.now is None else first.now
    limit = sum(request.limit for request in requests)
    if first.entry_id is not None:
        ids = yield from _one(first.entry_id, now)
    elif limit < 1:
        ids = []
    else:
        ids = yield from _heads(first.mailbox_id, limit, now)
    if not ids:
        return [()] * len(requests)
    (found,) = yield (Read("load_entries", {"ids": id_list(ids)}),)
    entries = {entry.entry_id: entry for entry in map(read_entry, found)}
    given, writes = take(requests, [entries[key] for key in ids], now)
    yield writes
    return given


def take(
    requests: Sequence[ClaimRequest], entries: Iterable[MailboxEntry], now: int
) -> tuple[list[Claimed], tuple[Statement, ...]]:
    """Share out entries that can be had; what each request gets, and the statements that say so."""
    left = iter(entries)
    given: list[Claimed] = []
    changes: list[Change] = []
    for request in requests:
        taken = list(islice(left, max(0, min(request.limit, LARGEST_TIME))))
        held = tuple(claimed(entry, request, new_token(), now) for entry in taken)
        changes += map(_change, taken, held)
        given.append(held)
    return given, tuple(write_entries(changes))


def _change(before: MailboxEntry, after: MailboxEntry) -> Change:
    return Change("entries", before.entry_id, before, after)


def _one(entry_id: str, now: int) -> Program[list[str]]:
    """An entry named by its id, if it can be had; when it is due does not matter."""
    found, leases = yield (
        Read("load_entry", {"entry_id": entry_id}),
        Read("lease_of_entry", {"entry_id": entry_id}),
    )
    if not found:
        return []
    entry = read_entry(found[0])
    lease_until = leases[0][0]
    if lease_until is not None and lease_until > now:
        return []
    return [entry_id] if entry.status == "queued" or has_expired(entry, now) else []


def _heads(mailbox_id: str | None, limit: int, now: int) -> Program[list[str]]:
    """The best of each mailbox that can be had, best first."""
    if mailbox_id is not None:
        (rows,) = yield (Read("heads_of_mailbox", {"mailbox_id": mailbox_id, "now": now}),)
        return _best_of_each(rows, limit)
    priorities, expired = yield (
        Read("ready_priorities", {}),
        Read("expired_heads", {"now": now}),
    )
    ready: list[Row] = []
    for (priority,) in priorities:
        values = {"priority": priority, "now": now, "limit": min(limit, LARGEST_TIME)}
        (rows,) = yield (Read("ready_heads", values),)
        ready += rows
        if len({head[0] for head in ready}) >= limit:
            break
    return _best_of_each([*ready, *expired], limit)


def _best_of_each(heads: Iterable[Row], limit: int) -> list[str]:
    chosen: dict[str, str] = {}
    for mailbox_id, _, _, _, entry_id in sorted(heads, key=_order):
        if len(chosen) >= limit:
            break
        chosen.setdefault(mailbox_id, entry_id)
    return list(chosen.values())


def _order(head: Row) -> tuple[int, int, int, str]:
    """As `treadle.core.mailboxes.claim_order`."""
    _, priority, available_at, created_at, entry_id = head
    return -priority, available_at, created_at, entry_id


def next_due(mailbox_id: str | None) -> Program[int | None]:
    """When something may become claimable: a time that is past if it is, None if nothing waits."""
    if mailbox_id is None:
        ready, expiry = yield (Read("next_ready", {}), Read("next_expiry", {}))
        times = [time for ((time,),) in (ready, expiry) if time is not None]
        return min(times, default=None)
    (rows,) = yield (Read("next_of_mailbox", {"mailbox_id": mailbox_id}),)
    if not rows:
        return None
    lease_until, available_at = rows[0]
    if lease_until is not None:
        return int(lease_until)
    return None if available_at is None else int(available_at)
