"""Taking further entries into an attempt: for `coalesce`, and when a handler asks for them."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import takewhile

from treadle.backends.cancellation import shielded
from treadle.core.mailboxes import MailboxEntry, has_place_of
from treadle.worker._attempt import Attempt
from treadle.worker._clock import timeout
from treadle.worker._decision import is_last_try
from treadle.worker._events import Claimed
from treadle.worker._lease import Lease, within
from treadle.worker._outcomes import Settler
from treadle.worker._settings import RunContext
from treadle.worker._watcher import Watcher
from treadle.worker.backoff import Backoff

_LOOKS = Backoff(base_ms=50, factor=2.0, max_ms=1_000)
"""How often a handler that waits for more looks for what has become due: no hint tells."""


class Taker:
    """Takes further due entries of the mailboxes that a worker holds."""

    def __init__(self, context: RunContext, settler: Settler, watcher: Watcher) -> None:
        self._context = context
        self._settler = settler
        self._watcher = watcher

    async def take(self, attempt: Attempt, limit: int) -> tuple[MailboxEntry, ...]:
        """Give up to `limit` further due entries to the handler of an attempt.

        Raises:
            ClaimConflict: its claim is lost or settled.
            TimeoutError: the store did not answer before the lease ended.
        """
        attempt.require_held()
        missing = limit - len(attempt.list_kept())
        if missing > 0:
            await self._claim(attempt, missing)
        given = attempt.list_kept()[: max(limit, 0)]
        attempt.kept = [lease for lease in attempt.kept if lease not in given]
        self._give(attempt, given)
        return tuple(lease.entry for lease in given)

    async def take_with_answers(self, attempt: Attempt, limit: int) -> tuple[MailboxEntry, ...]:
        """Do the same, and give all that was sent to follow the attempt's entry: its answers.

        They come first, even if they are more than `limit`, and at the last attempt, too, as the
        handler would ask again without them.

        Raises:
            ClaimConflict, TimeoutError: as for `take`.
        """
        given = list(await self.take(attempt, limit))
        follows = partial(has_place_of, before=attempt.first.entry)
        if limit < 1 or not (follows(given[-1]) if given else self._is_last_try(attempt.first)):
            return tuple(given)
        while True:
            if not attempt.list_kept():
                await self._claim(attempt, 1, answers=True)
            if not any(follows(lease.entry) for lease in attempt.list_kept()[:1]):
                return tuple(given)
            lease = attempt.list_kept()[0]
            attempt.kept.remove(lease)
            self._give(attempt, [lease])
            given.append(lease.entry)

    async def wait(self, attempt: Attempt, seconds: float) -> bool:
        """Return True once something further is due, and False after `seconds`, or at a stop.

        What is due is taken, as nobody else may claim it anyway, and kept for `take`.

        Raises:
            ClaimConflict, TimeoutError: as for `take`.
        """
        clock = self._context.clock
        end = clock.time() + seconds
        looks = 0
        with self._watcher.telling(attempt.first.entry.mailbox_id, attempt.news):
            while True:
                attempt.news.clear()
                if attempt.is_cancelled:
                    return False
                attempt.require_held()
                if not attempt.list_kept():
                    await self._claim(attempt, 1)
                if attempt.list_kept():
                    return True
                left = end - clock.time()
                if left <= 0:
                    return False
                looks += 1
                poll = _LOOKS.pause_ms(looks, self._context.random) / 1000
                with suppress(TimeoutError):
                    async with timeout(clock, min(left, poll)):
                        await attempt.news.wait()

    def is_last_attempt(self, entry: MailboxEntry) -> bool:
        """Return whether a claimed entry becomes a dead letter if its handler fails now."""
        return entry.attempt_count >= self._context.settings.max_attempts

    def add(self, attempt: Attempt, entries: Sequence[MailboxEntry], deadline: float) -> None:
        """Give entries to the handler that a batch of its has taken, with a lease to `deadline`."""
        leases = [Lease(entry, deadline, self._context.clock) for entry in entries]
        self._give(attempt, leases)
        for lease in leases:
            self._watcher.add(lease)

    def _give(self, attempt: Attempt, leases: Sequence[Lease]) -> None:
        attempt.add(leases)
        for lease in leases:
            self._context.emit(Claimed(entry=lease.entry))

    async def _claim(self, attempt: Attempt, limit: int, *, answers: bool = False) -> None:
        """Claim further entries, and keep them for the handler.

        Raises:
            ClaimConflict, TimeoutError: as for `take`.
        """
        # shielded: what is claimed and not known would stay claimed until the lease ends
        await shielded(self._claim_whole(attempt, limit, answers))

    async def _claim_whole(self, attempt: Attempt, limit: int, answers: bool) -> None:
        held = attempt.require_held()
        if not answers and self._is_alone(attempt):
            return
        holder = held[0]
        # from before the write, so that our deadline is never later than the store's
        deadline = holder.deadline
        write = self._context.store.mailboxes.take(holder.entry, limit=limit)
        entries = await within(held[:1], write)
        leases = [Lease(entry, deadline, self._context.clock) for entry in entries]
        may_come = partial(self._may_come, attempt, answers)
        together = list(takewhile(may_come, leases))
        attempt.kept += together
        for lease in together:
            self._watcher.add(lease)
        if len(together) < len(leases):
            attempt.takes_more = False
            await self._settler.release(leases[len(together) :])

    def _may_come(self, attempt: Attempt, answers: bool, lease: Lease) -> bool:
        """Return whether an entry is worked together with those of an attempt."""
        if answers and has_place_of(lease.entry, attempt.first.entry):
            return True
        return not self._is_alone(attempt) and not self._is_last_try(lease)

    def _is_alone(self, attempt: Attempt) -> bool:
        return not attempt.takes_more or self._is_last_try(attempt.first)

    def _is_last_try(self, lease: Lease) -> bool:
        return is_last_try(lease.entry, self._context.settings.max_attempts)
