"""Claims beside other claims: lock mailboxes, look at them, then take from them.

What is looked at must be read on a snapshot that is younger than the locks; one statement for both
would give out entries that were settled in between. A claim from all mailboxes skips those that
other claims are taking from, and waits a moment for those that commits are changing.
"""

import random
import time
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any

import msgspec

from treadle.backends._deadline import Deadline
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
    Submit,
    Transaction,
    outcomes_of_failed_group,
)
from treadle.backends.sql.claims import Claimed, in_turn, take
from treadle.backends.sql.program import Program, Read, Write
from treadle.backends.sql.rows import read_entry
from treadle.core.claims import ClaimRequest, choose, has_live_lease
from treadle.core.limits import LARGEST_TIME


class MailboxesBusy(Exception):
    """Commits are changing mailboxes that would come first."""

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

    def __init__(self, database: Database, clock: Callable[[], int | None], submit: Submit) -> None:
        self._database = database
        self._clock = clock
        self._submit = submit
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
                return list(transaction.run())
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
        return found

    def _transaction(
        self,
        requests: Sequence[ClaimRequest],
        deadline: Deadline,
        lock_ms: int,
        cooling: Container[str],
    ) -> Transaction[list[Claimed]]:
        return Transaction(
            self._database, lambda: claim(requests, self._clock(), cooling), deadline, lock_ms
        )


def claim(
    requests: Sequence[ClaimRequest], clock: int | None, cooling: Container[str]
) -> Program[list[Claimed]]:
    """Give due entries to consumers; without `clock`, at the database's time.

    Raises:
        MailboxesBusy: a commit is changing a mailbox that would come first and is not `cooling`.
    """
    given: list[Claimed] = []
    for alike in in_turn(requests):
        given += yield from _claim(alike, clock, cooling)
    return given


def _claim(
    requests: Sequence[ClaimRequest], clock: int | None, cooling: Container[str]
) -> Program[list[Claimed]]:
    first = requests[0]
    limit = min(sum(request.limit for request in requests), LARGEST_TIME)
    if limit < 1:
        return [()] * len(requests)
    now = clock if first.now is None else first.now
    locked, rows, *skipped = yield _looks(first, limit, now)
    busy = {key for found in skipped for (key,) in found if key not in cooling}
    if busy:
        raise MailboxesBusy(frozenset(busy))
    now = int(locked[0][0])
    entries = [read_entry(row) for row in rows]
    together = msgspec.structs.replace(first, limit=limit)
    given, writes = take(requests, choose(entries, together, now), now)
    if any(has_live_lease(entry, now) for entry in entries):
        writes = (Write("refresh_wakes", ({},)), *writes)
    if writes:
        yield writes
    return given


def _looks(request: ClaimRequest, limit: int, now: int | None) -> tuple[Read, ...]:
    """The queries that lock mailboxes, read the locked ones, and list those that were skipped."""
    if request.entry_id is not None:
        entry = {"now": now, "entry_id": request.entry_id}
        return Read("lock_mailbox_of_entry", entry), Read("read_locked_entry", entry)
    if request.mailbox_id is not None:
        mailbox = {"now": now, "mailbox_id": request.mailbox_id}
        return Read("lock_mailbox", mailbox), Read("read_locked", mailbox)
    values = {"now": now, "limit": limit, "expired": EXPIRED_MAILBOXES}
    return Read("lock_ready", values), Read("read_locked", values), Read("read_skipped", values)
