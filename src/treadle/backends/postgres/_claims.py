"""Claims beside other claims: lock mailboxes, look at them, then take from them.

A look needs a snapshot that is younger than the locks; one statement for both would give out
entries that were settled in between. A claim from all mailboxes skips those that other claims are
taking from, and waits a moment for those that commits are changing.
"""

import random
import time
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any

import msgspec

from treadle.backends._damage import DamageLog
from treadle.backends._deadline import Deadline
from treadle.backends._group_thread import Failure
from treadle.backends._hints import hints_of_claims
from treadle.backends.postgres._limits import (
    BUSY_MS,
    BUSY_PAUSE_SECONDS,
    COOLING_SECONDS,
    EXPIRED_MAILBOXES,
    GROUP_LOCK_MS,
)
from treadle.backends.postgres._transactions import (
    Blocked,
    Call,
    Database,
    GiveHints,
    Submit,
    Transaction,
    outcomes_of_failed_group,
)
from treadle.backends.sql.among import FRONT, LOOKS, ranges_in
from treadle.backends.sql.claims import (
    Candidate,
    Claimed,
    ClaimOutcome,
    Sieve,
    choose_named,
    in_turn,
    take,
)
from treadle.backends.sql.program import Program, Read, Row, Values, Write, writes
from treadle.backends.sql.rows import read_entry
from treadle.core.claims import ClaimRequest, choose, has_live_lease
from treadle.core.id_ranges import IdRanges
from treadle.core.limits import LARGEST_TIME
from treadle.errors import CorruptRecord

_SPARE = 5
"""How many heads more a claim of some mailboxes looks at: some are locked, or have come since."""


class MailboxesBusy(Exception):
    """Others are changing mailboxes that would come first."""

    def __init__(self, mailboxes: frozenset[str]) -> None:
        super().__init__(mailboxes)
        self.mailboxes = mailboxes


class CoolingDown:
    """Mailboxes that were busy for too long; claims do not wait for them for a while."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: dict[str, float] = {}

    def add(self, mailboxes: Iterable[str]) -> None:
        """Do not wait for these from now on."""
        self._until |= dict.fromkeys(mailboxes, time.monotonic() + self._seconds)

    def now(self) -> frozenset[str]:
        """The mailboxes that are not waited for at present."""
        present = time.monotonic()
        self._until = {key: end for key, end in self._until.items() if end > present}
        return frozenset(self._until)


class Claims:
    """Carries out claims in groups; one that has to wait for others is handed to `submit`."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], int | None],
        submit: Submit,
        give_hints: GiveHints,
    ) -> None:
        self._database = database
        self._clock = clock
        self._submit = submit
        self._give_hints = give_hints
        self._cooling = CoolingDown(COOLING_SECONDS)

    def carry_out(self, calls: list[Call[ClaimRequest]]) -> list[Any]:
        """Claim for all requests in one transaction, or for each alone if it names a held mailbox.

        Returns:
            For each call its entries, a `Failure`, or a future of one of the two.
        """
        requests = [call.request for call in calls]
        deadline = calls[0].deadline  # the earliest: the group has one end
        patience = deadline.sooner(BUSY_MS / 1000)
        while True:
            transaction = self._transaction(requests, deadline, GROUP_LOCK_MS, self._cooling.now())
            try:
                outcomes = transaction.run()
                self._give_hints(hints_of_claims(outcomes))
                return [_result(outcome) for outcome in outcomes]
            except MailboxesBusy as busy:
                if patience.has_passed:
                    self._cooling.add(busy.mailboxes)
            except Blocked:
                return [self._submit(self._claim_alone, call) for call in calls]
            except Exception as error:  # it is raised to the callers: the thread must go on
                return outcomes_of_failed_group(
                    transaction, error, calls, self._submit, self._claim_alone
                )
            deadline.sleep(random.uniform(*BUSY_PAUSE_SECONDS))  # noqa: S311

    def _claim_alone(self, call: Call[ClaimRequest], turn_ms: int) -> Claimed:
        """Claim from a mailbox that others hold; nothing if they hold it for long.

        The limit is its own, so a claim has one turn.
        """
        transaction = self._transaction([call.request], call.deadline, BUSY_MS, frozenset())
        try:
            [found] = transaction.run()
        except (Blocked, MailboxesBusy):
            return ()
        if isinstance(found, CorruptRecord):
            raise found
        self._give_hints(hints_of_claims([found]))
        return found

    def _transaction(
        self,
        requests: Sequence[ClaimRequest],
        deadline: Deadline,
        lock_ms: int,
        cooling: Container[str],
    ) -> Transaction[list[ClaimOutcome]]:
        damage = self._database.damage
        return Transaction(
            self._database,
            lambda: claim(requests, self._clock(), cooling, damage),
            deadline,
            lock_ms,
        )


def _result(outcome: ClaimOutcome) -> Claimed | Failure:
    return Failure(outcome) if isinstance(outcome, CorruptRecord) else outcome


def claim(
    requests: Sequence[ClaimRequest],
    clock: int | None,
    cooling: Container[str],
    damage: DamageLog,
) -> Program[list[ClaimOutcome]]:
    """Give due entries to consumers; without `clock`, at the database's time.

    `damage` notes the entries that cannot be read, and that are left out.

    Raises:
        MailboxesBusy: a commit is changing a mailbox that would come first and is not `cooling`,
            or there is nothing to give and another claim is taking from such a mailbox.
    """
    outcomes: list[ClaimOutcome] = []
    for alike in in_turn(requests):
        if alike[0].limit < 1:
            outcomes += [()] * len(alike)
        elif alike[0].entry_id is not None:
            outcomes.append((yield from _claim_one(alike[0], clock)))
        else:
            outcomes += yield from _claim(alike, clock, cooling, damage)
    return outcomes


def _claim(
    requests: Sequence[ClaimRequest],
    clock: int | None,
    cooling: Container[str],
    damage: DamageLog,
) -> Program[list[Claimed]]:
    first = requests[0]
    limit = min(sum(request.limit for request in requests), LARGEST_TIME)
    time = clock if first.now is None else first.now
    sieve = Sieve(damage)
    looked = limit
    while True:
        look = yield from _look(first, looked, time)
        _check_skipped(look.skipped, cooling, of_claims=False)
        entries = sieve.sift(map(_candidate, look.rows), look.now)
        if not (yield from sieve.clear_the_way()):
            break
        looked = min(2 * looked, LARGEST_TIME)  # further, as many may be damaged
    together = msgspec.structs.replace(first, limit=limit)
    chosen = choose(entries, together, look.now)
    if not chosen:  # another claim may have locked more than it takes
        _check_skipped(look.skipped, cooling, of_claims=True)
    given, statements = take(requests, chosen, look.now)
    if sieve.has_held or any(has_live_lease(entry, look.now) for entry in entries):
        statements = (Write("refresh_wakes", ({},)), *statements)
    if statements:
        yield statements
    return given


class _Look(msgspec.Struct, frozen=True):
    """What a claim sees of the mailboxes that it has locked."""

    now: int
    """The time of the claim."""
    rows: Sequence[Row]
    """The candidates, and what is claimed."""
    skipped: Sequence[Row] = ()
    """The mailboxes that would come first and are not locked."""


def _look(request: ClaimRequest, limit: int, now: int | None) -> Program[_Look]:
    """Lock mailboxes, those that come first or the one that is named, and look at them."""
    values = {
        "now": now,
        "limit": limit,
        "mailbox_id": request.mailbox_id,
        "expired": EXPIRED_MAILBOXES,
    }
    if request.among is not None:
        return (yield from _look_among(request.among, values))
    names = ("lock_ready", "read_locked", "read_front")
    if request.mailbox_id is not None:
        names = ("lock_mailbox", "read_locked", "lock_ended_pauses")
    while True:
        locked, rows, missed = yield tuple(Read(name, values) for name in names)
        if any(is_over for _, is_over in missed) and (yield from _end_pauses(values)):
            continue
        look = _Look(int(locked[0][0]), rows)
        if all(is_over for _, is_over in missed):
            return look
        (skipped,) = yield (Read("read_skipped", values),)
        return msgspec.structs.replace(look, skipped=skipped)


def _look_among(ranges: IdRanges, values: Values) -> Program[_Look]:
    """Do the same with some mailboxes, by the better of two ways: see `sql.among`."""
    most = 2 * values["limit"] + _SPARE  # some may be locked
    tries = [
        *((way, max(look, most)) for look in LOOKS for way in ("by_mailbox", "in_order")),
        ("by_mailbox", LARGEST_TIME),
    ]
    values = {**values, **ranges_in(ranges), "most": min(most, LARGEST_TIME)}
    for way, look in tries:
        found = yield from _look_by(way, {**values, "look": look, "first": most + FRONT})
        if found is not None:
            return found
    whole = {**values, "look": LARGEST_TIME, "first": LARGEST_TIME}
    found = yield from _look_by("by_mailbox", whole)
    assert found is not None  # noqa: S101 - that was all
    return found


def _look_by(way: str, values: Values) -> Program[_Look | None]:
    """Do the same in one way; None if it has not looked far enough."""
    bounds = {name: min(values[name], LARGEST_TIME - _SPARE) for name in ("look", "first")}
    # There may be more heads by then.
    further = {**values, **{name: bound + _SPARE for name, bound in bounds.items()}}
    values = {**values, **bounds}
    while True:
        locked, rows, missed = yield (
            Read("lock_ready_among", values, (way,)),
            Read("read_locked", values),
            Read("read_front_among", further, (way,)),
        )
        ((now, *_, is_whole),) = locked
        if not is_whole:
            return None
        if any(is_over for _, is_over in missed) and (yield from _end_pauses(values)):
            continue
        look = _Look(int(now), rows)
        if all(is_over for _, is_over in missed):
            return look
        (skipped,) = yield (Read("read_skipped_among", further, (way,)),)
        return msgspec.structs.replace(look, skipped=skipped)


def _end_pauses(values: Values) -> Program[bool]:
    """End the pauses that are over, except those that others are ending; return whether any was."""
    (ended,) = yield (Read("lock_ended_pauses", values),)
    mailboxes = [{"mailbox_id": mailbox_id} for mailbox_id, _ in ended]
    if mailboxes:
        yield tuple(writes(end_pauses=mailboxes, block_heads=mailboxes))
    return bool(mailboxes)


def _check_skipped(skipped: Iterable[Row], cooling: Container[str], *, of_claims: bool) -> None:
    """Check that no commit, and if `of_claims` no other claim, was the reason to skip a mailbox.

    Raises:
        MailboxesBusy: one was, and the mailbox is not `cooling`.
    """
    busy = {
        mailbox_id
        for mailbox_id, is_of_commit in skipped
        if (is_of_commit or of_claims) and mailbox_id not in cooling
    }
    if busy:
        raise MailboxesBusy(frozenset(busy))


def _candidate(row: Row) -> tuple[Candidate, Row | None]:
    """A candidate and its entry's columns, from a row of `read_locked`."""
    mailbox_id, priority, kind, entry_id, *entry = row
    candidate = Candidate(mailbox_id, priority, kind, entry_id)
    return candidate, None if entry[0] is None else tuple(entry)


def _claim_one(request: ClaimRequest, clock: int | None) -> Program[ClaimOutcome]:
    """Claim the entry that a request names, unless its mailbox is held; it need not be due."""
    values = {"now": clock if request.now is None else request.now, "entry_id": request.entry_id}
    locked, rows = yield Read("lock_mailbox_of_entry", values), Read("read_locked_entry", values)
    now = int(locked[0][0])
    try:
        chosen = choose_named(request, [(read_entry, row) for row in rows], now)
    except CorruptRecord as error:
        return error
    [given], statements = take([request], chosen, now)
    if statements:
        yield statements
    return given
