"""Claims: lanes are read in the order of their heads, until there are enough.

What a claim costs depends neither on how much waits nor on how many mailboxes there are: only heads
that are due are read, and mailboxes whose lease has run out. The suite holds what is chosen here
against the rule, `weft.core.mailboxes.choose`.
"""

from collections.abc import Iterable

from weft.backends.sql.commit import gather, write
from weft.backends.sql.footprint import Footprint
from weft.backends.sql.program import Program, Read, Row
from weft.backends.sql.rows import read_entry
from weft.backends.sql.working_set import WorkingSet
from weft.core.clock import new_token
from weft.core.mailboxes import ClaimRequest, MailboxEntry, claimed, has_expired


def claim(request: ClaimRequest, clock: int) -> Program[tuple[MailboxEntry, ...]]:
    """Put due entries into the consumer's hands."""
    now = clock if request.now is None else request.now
    if request.entry_id is not None:
        ids = yield from _one(request.entry_id, now)
    elif request.limit < 1:
        ids = []
    else:
        ids = yield from _heads(request, now)
    if not ids:
        return ()
    rows: WorkingSet = yield from gather(Footprint(entries=set(ids)))
    held = tuple(claimed(rows.entries[key], request, new_token(), now) for key in ids)
    for entry in held:
        rows.put("entries", entry.entry_id, entry)
    yield tuple(write(rows))
    return held


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


def _heads(request: ClaimRequest, now: int) -> Program[list[str]]:
    """The best of each mailbox that can be had, best first."""
    if request.mailbox_id is not None:
        values = {"mailbox_id": request.mailbox_id, "now": now}
        (rows,) = yield (Read("heads_of_mailbox", values),)
        return _best_of_each(rows, request.limit)
    priorities, expired = yield (
        Read("ready_priorities", {}),
        Read("expired_heads", {"now": now}),
    )
    ready: list[Row] = []
    for (priority,) in priorities:
        values = {"priority": priority, "now": now, "limit": min(request.limit, 2**31)}
        (rows,) = yield (Read("ready_heads", values),)
        ready += rows
        if len({mailbox_id for mailbox_id, *_ in ready}) >= request.limit:
            break
    return _best_of_each([*ready, *expired], request.limit)


def _best_of_each(heads: Iterable[Row], limit: int) -> list[str]:
    chosen: dict[str, str] = {}
    for mailbox_id, _, _, _, entry_id in sorted(heads, key=_order):
        if len(chosen) >= limit:
            break
        chosen.setdefault(mailbox_id, entry_id)
    return list(chosen.values())


def _order(head: Row) -> tuple[int, int, int, str]:
    """As `weft.core.mailboxes.claim_order`."""
    _, priority, available_at, created_at, entry_id = head
    return -priority, available_at, created_at, entry_id


def next_due(now: int, mailbox_id: str | None) -> Program[int | None]:
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
