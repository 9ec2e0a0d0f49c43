"""Claims: queue heads are read in the order of claims, until there are enough.

What a claim costs depends neither on the number of waiting entries nor on the number of mailboxes:
only heads that are due are read, and mailboxes whose lease has run out. The suite compares what is
chosen here with the rule, `treadle.core.claims.choose`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from treadle.backends._damage import DamageLog
from treadle.backends.sql.among import FRONT, HEADS_AMONG, LOOKS, MAILBOXES_AMONG, ranges_in
from treadle.backends.sql.claims import (
    Candidate,
    Claimed,
    ClaimOutcome,
    Sieve,
    choose_named,
    in_turn,
    take,
)
from treadle.backends.sql.program import Program, Read, Row, Values, writes
from treadle.backends.sql.rows import read_claim, read_entry
from treadle.backends.sql.tables import KEPT
from treadle.core.claims import ClaimRequest, choose
from treadle.core.id_ranges import IdRanges
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
    while candidates := (yield from _candidates(requests[0], looked, now, sieve)):
        ids = [each.entry_id for each in candidates if isinstance(each.entry_id, str)]
        (rows,) = yield (Read("load_entries", {"ids": sorted(ids)}),)
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
    ids = [entry_id]
    paused, found, held, kept = yield (
        Read("paused_mailbox_of_entry", {"entry_id": entry_id, "now": now}),
        Read("load_entries", {"ids": ids}),
        Read("load_claimed_beside", {"ids": ids, "mailboxes": []}),
        Read("load_kept", {"entry_id": entry_id}),
    )
    if paused:
        return ()
    beside = ((read_claim, row) for row in (*held, *kept))
    rows = [*((read_entry, row) for row in found), *beside]
    try:
        chosen = choose_named(request, rows, now)
    except CorruptRecord as error:
        return error
    [given], statements = take([request], chosen, now)
    if statements:
        yield statements
    return given


def _end_pauses(mailbox_id: str | None, now: int) -> Program[None]:
    """Unblock the heads of mailboxes whose pauses are over."""
    (ended,) = yield (Read("ended_pauses", {"now": now, "mailbox_id": mailbox_id}),)
    if ended:
        mailboxes = [{"mailbox_id": each} for (each,) in ended]
        yield tuple(writes(end_pauses=mailboxes, block_heads=mailboxes))


def _candidates(
    request: ClaimRequest, limit: int, now: int, sieve: Sieve
) -> Program[list[Candidate]]:
    """The best claimable entry of each mailbox, best first."""
    mailbox_id = request.mailbox_id
    if mailbox_id is not None:
        yield from _end_pauses(mailbox_id, now)
        (rows,) = yield (Read("heads_of_mailbox", {"mailbox_id": mailbox_id, "now": now}),)
        return _first_of_each(rows, limit, now, sieve)
    front = Read("front_of_queue", {"now": now})
    (((priority, has_ended_pauses, has_expired),),) = yield (front,)
    if has_ended_pauses:
        yield from _end_pauses(None, now)
        (((priority, _, has_expired),),) = yield (front,)
    if request.among is None:
        heads = yield from _ready_heads(priority, limit, now)
        expired_heads = Read("expired_heads", {"now": now})
    else:
        heads = yield from _heads_among(request.among, priority, limit, now)
        values = {**ranges_in(request.among), "now": now}
        expired_heads = Read("expired_heads", values, MAILBOXES_AMONG)
    if has_expired:
        (expired,) = yield (expired_heads,)
        heads += expired
    return _first_of_each(heads, limit, now, sieve)


def _ready_heads(priority: int | None, limit: int, now: int) -> Program[list[Row]]:
    """The heads that are due, each of another mailbox, from the highest priority down."""
    heads: list[Row] = []
    seen: set[int] = set()
    # A damaged index may give a priority twice.
    while priority is not None and priority not in seen:
        seen.add(priority)
        values = {"priority": priority, "now": now, "limit": min(limit, LARGEST_TIME)}
        (found,) = yield (Read("ready_heads", values),)
        heads += found
        if len(heads) >= limit:
            break
        (((priority,),),) = yield (Read("next_priority", {"below": priority}),)
    return heads


def _heads_among(
    ranges: IdRanges, priority: int | None, limit: int, now: int
) -> Program[list[Row]]:
    """The heads of some mailboxes that are due, by the better of two ways: see `sql.among`."""
    values = {**ranges_in(ranges), "now": now, "limit": min(limit, LARGEST_TIME)}
    for look in LOOKS:
        looking = {**values, "look": look}
        (((_, looked),),) = yield (Read("time_among", looking),)
        if looked < look:
            return (yield from _by_mailbox(looking))
        looking["look"] = max(look, 2 * values["limit"])
        found, is_cut_off = yield from _ready_among(priority, looking)
        if not is_cut_off:
            return found
    return (yield from _by_mailbox({**values, "look": LARGEST_TIME}))


def _by_mailbox(looking: Values) -> Program[list[Row]]:
    """The heads of some mailboxes; few of the first ones are not the first of their mailboxes."""
    found: list[Row] = []
    for most in (min(2 * looking["limit"] + FRONT, LARGEST_TIME), LARGEST_TIME):
        (found,) = yield (Read("heads_among", {**looking, "most": most}),)
        if len(found) >= looking["limit"] or most >= looking["look"]:
            break
    return found


def _ready_among(priority: int | None, looking: Values) -> Program[tuple[list[Row], bool]]:
    """The heads of some mailboxes, as far as each priority is looked at, and if that ended it."""
    found: list[Row] = []
    seen: set[int] = set()
    while priority is not None and priority not in seen:
        seen.add(priority)
        values = {**looking, "priority": priority}
        reads = Read("ready_heads_among", values, HEADS_AMONG), Read("count_ready_heads", values)
        ours, ((looked,),) = yield reads
        found += ours
        if len(found) >= looking["limit"]:
            break
        if looked >= looking["look"]:
            return found, True
        (((priority,),),) = yield (Read("next_priority", {"below": priority}),)
    return found, False


def _first_of_each(heads: Sequence[Row], limit: int, now: int, sieve: Sieve) -> list[Candidate]:
    """The first of each mailbox, unless it holds back the others, in the order of claims."""
    mailboxes: dict[str, list[_Head]] = {}
    for row in heads:
        head = _Head(*row)
        if not sieve.is_unfit(head.candidate()):
            mailboxes.setdefault(head.mailbox_id, []).append(head)
    firsts = (
        beside[0] if len(beside) == 1 else min(beside, key=_Head.turn_order)
        for beside in mailboxes.values()
    )
    ready = [first for first in firsts if not first.holds_back(now)]
    return [head.candidate() for head in sorted(ready, key=_Head.claim_order)[:limit]]


class _Head(NamedTuple):
    """A row of `ready_heads`, `expired_heads` or `heads_of_mailbox`.

    A damaged one does not have numbers. It comes first, so that its entry decides.
    """

    mailbox_id: str
    priority: int
    kind: int
    turn: int | None
    available_at: int
    created_at: int
    entry_id: str
    is_head: int

    def candidate(self) -> Candidate:
        if not self.is_head:
            return Candidate(self.mailbox_id, None, None, self.entry_id)
        return Candidate(self.mailbox_id, self.priority, self.kind, self.entry_id)

    def is_whole(self) -> bool:
        return (
            isinstance(self.entry_id, str)
            and isinstance(self.priority, int)
            and isinstance(self.kind, int)
            and isinstance(self.turn, int | None)
            and isinstance(self.available_at, int)
            and isinstance(self.created_at, int)
        )

    def claim_order(self) -> tuple[int | str, ...]:
        """The same order as `treadle.core.claims.claim_order`."""
        if not self.is_whole():
            return (-LARGEST_TIME,)
        return -self.priority, self.available_at, self.created_at, self.entry_id

    def turn_order(self) -> tuple[int | str, ...]:
        """The same order as `treadle.core.claims.turn_order`."""
        if not self.is_whole():
            return (-LARGEST_TIME,)
        priority, *others = self.claim_order()
        turn = self.available_at if self.turn is None else self.turn
        return priority, 0 if self.kind == KEPT else 1, turn, *others

    def holds_back(self, now: int) -> bool:
        """Return whether it is a retry that keeps its order, and is not due."""
        waits = self.kind == KEPT and bool(self.is_head) and self.is_whole()
        return waits and self.available_at > now
