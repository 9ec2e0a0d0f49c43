"""Claims: queue heads are read in the order of claims, until there are enough.

What a claim costs depends neither on the number of waiting entries nor on the number of mailboxes:
only heads that are due are read, and mailboxes whose lease has run out. The suite compares what is
chosen here with the rule, `treadle.core.claims.choose`.
"""

from collections.abc import Sequence

import msgspec

from treadle.backends._damage import DamageLog
from treadle.backends.sql.claims import (
    Candidate,
    Claimed,
    ClaimOutcome,
    Sieve,
    choose_named,
    in_turn,
    take,
)
from treadle.backends.sql.program import Program, Read, Row
from treadle.backends.sql.rows import id_list, read_claim, read_entry
from treadle.core.claims import ClaimRequest, choose
from treadle.core.limits import LARGEST_TIME
from treadle.core.mailboxes import MailboxEntry
from treadle.errors import CorruptRecord


def claim(
    requests: Sequence[ClaimRequest], clock: int, damage: DamageLog
) -> Program[list[ClaimOutcome]]:
    """Claim due entries for each request in turn.

    Requests of one kind share their statements: the first gets the best entries, then the next.
    `damage` notes the entries that cannot be read, and that are left out.
    """
    outcomes: list[ClaimOutcome] = []
    for alike in in_turn(requests):
        first = alike[0]
        now = clock if first.now is None else first.now
        if first.entry_id is not None:
            outcomes.append((yield from _claim_one(first, first.entry_id, now)))
        else:
            outcomes += yield from _claim(alike, now, damage)
    return outcomes


def _claim(requests: list[ClaimRequest], now: int, damage: DamageLog) -> Program[list[Claimed]]:
    looked = sum(request.limit for request in requests)
    if looked < 1:
        return [()] * len(requests)
    sieve = Sieve(damage)
    entries: list[MailboxEntry] = []
    while candidates := (yield from _candidates(requests[0].mailbox_id, looked, now, sieve)):
        ids = [each.entry_id for each in candidates if isinstance(each.entry_id, str)]
        (rows,) = yield (Read("load_entries", {"ids": id_list(ids)}),)
        found = {row[0]: row for row in rows}
        entries = sieve.sift([(each, found.get(each.entry_id)) for each in candidates], now)
        if not (yield from sieve.clear_the_way()):
            break
        looked = min(2 * looked, LARGEST_TIME)  # further, as many may be damaged
    together = msgspec.structs.replace(requests[0], limit=looked)
    given, statements = take(requests, choose(entries, together, now), now)
    if statements:
        yield statements
    return given


def _claim_one(request: ClaimRequest, entry_id: str, now: int) -> Program[ClaimOutcome]:
    """Claim the entry that a request names, unless its mailbox is held; it need not be due."""
    ids = id_list([entry_id])
    found, beside = yield (
        Read("load_entries", {"ids": ids}),
        Read("load_claimed_beside", {"ids": ids, "mailboxes": id_list([])}),
    )
    rows = [*((read_entry, row) for row in found), *((read_claim, row) for row in beside)]
    try:
        chosen = choose_named(request, rows, now)
    except CorruptRecord as error:
        return error
    [given], statements = take([request], chosen, now)
    if statements:
        yield statements
    return given


def _candidates(
    mailbox_id: str | None, limit: int, now: int, sieve: Sieve
) -> Program[list[Candidate]]:
    """The best claimable entry of each mailbox, best first."""
    if mailbox_id is not None:
        (rows,) = yield (Read("heads_of_mailbox", {"mailbox_id": mailbox_id, "now": now}),)
        return _best_of_each(rows, limit, sieve)
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
    return _best_of_each([*ready, *expired], limit, sieve)


def _best_of_each(heads: Sequence[Row], limit: int, sieve: Sieve) -> list[Candidate]:
    try:
        ordered = sorted(heads, key=_order)
    except TypeError:  # a damaged head does not have numbers: its entry decides
        ordered = sorted(
            heads, key=lambda head: _order(head) if _is_whole(head) else (-LARGEST_TIME,)
        )
    chosen: dict[str, Candidate] = {}
    for owner, priority, _, _, entry_id, is_head in ordered:
        if len(chosen) >= limit:
            break
        candidate = Candidate(owner, priority if is_head else None, entry_id)
        if not sieve.is_unfit(candidate):
            chosen.setdefault(owner, candidate)
    return list(chosen.values())


def _order(head: Row) -> tuple[int, int, int, str]:
    """The same order as `treadle.core.claims.claim_order`, for a row."""
    _, priority, available_at, created_at, entry_id, _ = head
    return -priority, available_at, created_at, entry_id


def _is_whole(head: Row) -> bool:
    return isinstance(head[4], str) and all(isinstance(value, int) for value in head[1:4])
