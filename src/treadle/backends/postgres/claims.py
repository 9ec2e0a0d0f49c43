"""Claims among others who claim: mailboxes are locked, then looked at, then taken from.

What is looked at must be read on a snapshot taken after the locks; one statement for both would
give out entries that have been settled meanwhile. Looking anywhere, a claim passes over mailboxes
that other claims are taking from, and waits a moment for those that commits are changing.
"""

import random
import time
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any

import msgspec

from treadle.backends.group_thread import Failure
from treadle.backends.postgres.database import Database
from treadle.backends.postgres.writer import Blocked, Submit, Writer
from treadle.backends.sql.claims import Claimed, in_turn, take
from treadle.backends.sql.program import Program, Read, Write
from treadle.backends.sql.rows import read_entry
from treadle.core.limits import LARGEST_TIME
from treadle.core.mailboxes import ClaimRequest, MailboxEntry, choose, has_expired, has_live_lease

_GROUP_PATIENCE_MS = 100
"""How long a group waits for a mailbox that it names; its requests then wait alone."""
_PATIENCE_MS = 500
"""How long a claim waits for mailboxes that other transactions keep; it then goes without them."""
_PASSED_OVER_SECONDS = 5.0
"""How long a mailbox that was in the way for too long is not waited for."""
_AGAIN_SECONDS = (0.001, 0.005)


class InTheWay(Exception):
    """Commits are changing mailboxes that would come first; they seldom take long."""

    def __init__(self, mailboxes: frozenset[str]) -> None:
        super().__init__(mailboxes)
        self.mailboxes = mailboxes


class PassedOver:
    """Mailboxes that were in the way for too long, and are not waited for again for a while."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: dict[str, float] = {}

    def add(self, mailboxes: Iterable[str]) -> None:
        """Pass these over from now on."""
        self._until |= dict.fromkeys(mailboxes, time.monotonic() + self._seconds)

    def now(self) -> frozenset[str]:
        """Those that are passed over at present."""
        present = time.monotonic()
        self._until = {key: end for key, end in self._until.items() if end > present}
        return frozenset(self._until)


class Claims:
    """Carries out claims; those that have to wait for others are handed to `submit`."""

    def __init__(self, database: Database, clock: Callable[[], int | None], submit: Submit) -> None:
        self._database = database
        self._clock = clock
        self._submit = submit
        self._together = Writer(database, _GROUP_PATIENCE_MS)
        self._passed_over = PassedOver(_PASSED_OVER_SECONDS)

    def carry_out(self, requests: list[ClaimRequest]) -> list[Any]:
        """What each request gets; those that name a mailbox which somebody keeps wait alone."""
        try:
            return list(self._claim_patiently(requests))
        except Blocked:
            return [self._submit(self._claim_alone, request) for request in requests]
        except Exception as error:  # handed to all who asked: the thread must go on
            return [Failure(error)] * len(requests)

    def _claim_patiently(self, requests: list[ClaimRequest]) -> list[Claimed]:
        """Claim, and wait a moment for the commits that are in the way."""
        until = time.monotonic() + _PATIENCE_MS / 1000
        while True:
            try:
                return self._write(self._together, requests, self._passed_over.now())
            except InTheWay as found:
                if time.monotonic() > until:
                    self._passed_over.add(found.mailboxes)
                time.sleep(random.uniform(*_AGAIN_SECONDS))  # noqa: S311

    def _claim_alone(self, request: ClaimRequest) -> Claimed:
        """What a request gets that names a mailbox which somebody keeps; nothing after a while."""
        try:
            (found,) = self._write(Writer(self._database, _PATIENCE_MS), [request], frozenset())
        except (Blocked, InTheWay):
            return ()
        return found

    def _write(
        self, writer: Writer, requests: Sequence[ClaimRequest], passed_over: Container[str]
    ) -> list[Claimed]:
        return writer.write(lambda: claim(requests, self._clock(), passed_over))


def claim(
    requests: Sequence[ClaimRequest], clock: int | None, passed_over: Container[str]
) -> Program[list[Claimed]]:
    """Put due entries into the consumers' hands; without `clock`, at the database's time.

    Raises:
        InTheWay: a commit is changing a mailbox that would come first and is not to be passed over.
    """
    given: list[Claimed] = []
    for alike in in_turn(requests):
        given += yield from _claim(alike, clock, passed_over)
    return given


def _claim(
    requests: Sequence[ClaimRequest], clock: int | None, passed_over: Container[str]
) -> Program[list[Claimed]]:
    first = requests[0]
    limit = min(sum(request.limit for request in requests), LARGEST_TIME)
    if limit < 1:
        return [()] * len(requests)
    now = clock if first.now is None else first.now
    times, _, rows, *missed = yield (Read("claim_clock", {"now": now}), *_looks(first, limit))
    in_the_way = {key for found in missed for (key,) in found if key not in passed_over}
    if in_the_way:
        raise InTheWay(frozenset(in_the_way))
    now = int(times[0][0])
    entries = [read_entry(row) for row in rows]
    given, writes = take(requests, _choose(entries, first, limit, now), now)
    if any(has_live_lease(entry, now) for entry in entries):
        writes = (Write("refresh_wakes", ({},)), *writes)
    if writes:
        yield writes
    return given


def _looks(request: ClaimRequest, limit: int) -> tuple[Read, ...]:
    """What locks mailboxes, what reads those that were locked, and what tells of the others."""
    if request.entry_id is not None:
        entry = {"entry_id": request.entry_id}
        return Read("lock_mailbox_of_entry", entry), Read("read_chosen_entry", entry)
    if request.mailbox_id is not None:
        return Read("lock_mailbox", {"mailbox_id": request.mailbox_id}), Read("read_chosen", {})
    limited = {"limit": limit}
    return Read("lock_ready", limited), Read("read_chosen", {}), Read("read_passed_over", limited)


def _choose(
    entries: Sequence[MailboxEntry], request: ClaimRequest, limit: int, now: int
) -> list[MailboxEntry]:
    if request.entry_id is None:
        return choose(entries, msgspec.structs.replace(request, limit=limit), now)
    if any(has_live_lease(entry, now) for entry in entries):
        return []
    named = (entry for entry in entries if entry.entry_id == request.entry_id)
    return [entry for entry in named if entry.status == "queued" or has_expired(entry, now)]
