"""Claims: queue heads are read in the order of claims, until there are enough.

What a claim costs depends neither on the number of waiting entries nor on the number of mailboxes:
only heads that are due are read, and mailboxes whose lease has run out. The suite compares what is
chosen here with the rule, `treadle.core.claims.choose`.
"""

from collections.abc import Iterable, Sequence

from treadle.backends.sql.claims import Claimed, in_turn, take
from treadle.backends.sql.program import Program, Read, Row
from treadle.backends.sql.rows import id_list, read_claim, read_entry
from treadle.core.claims import ClaimRequest, choose
from treadle.core.limits import LARGEST_TIME


def claim(requests: Sequence[ClaimRequest], clock: int) -> Program[list[Claimed]]:
    """Claim due entries for each request in turn.

    Requests of one kind share their statements: the first gets the best entries, then the next.
    """
    given: list[Claimed] = []
    for alike in in_turn(requests):
        given += yield from _claim(alike, clock)
    return given


def _claim(requests: list[ClaimRequest], clock: int) -> Program[list[Claimed]]:
    first = requests[0]
    now = clock if first.now is None else first.now
    limit = sum(request.limit for request in requests)
    if first.entry_id is not None:
        ids = yield from _one(first, first.entry_id, now)
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


def _one(request: ClaimRequest, entry_id: str, now: int) -> Program[list[str]]:
    """The entry that a claim names, if nothing in its mailbox is held; it need not be due."""
    ids = id_list([entry_id])
    found, beside = yield (
        Read("load_claims", {"ids": ids}),
        Read("load_claimed_beside", {"ids": ids, "mailboxes": id_list([])}),
    )
    entries = {entry.entry_id: entry for entry in map(read_claim, (*found, *beside))}
    return [entry.entry_id for entry in choose(entries.values(), request, now)]


def _heads(mailbox_id: str | None, limit: int, now: int) -> Program[list[str]]:
    """The best claimable entry of each mailbox, best first."""
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
    """The same order as `treadle.core.claims.claim_order`, for a row."""
    _, priority, available_at, created_at, entry_id = head
    return -priority, available_at, created_at, entry_id
