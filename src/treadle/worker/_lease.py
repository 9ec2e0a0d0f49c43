"""A claim that the worker holds: when it ends, and how it ended."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from treadle.backends.cancellation import finished
from treadle.core.claims import Settlement, claim_of
from treadle.core.commands import Commands
from treadle.core.mailboxes import MailboxEntry
from treadle.core.run_commands import CheckRun
from treadle.worker._clock import WorkerClock, wait

T = TypeVar("T")

_LEAST_WRITE_S = 0.5
"""The time that any write gets, in seconds, even if the lease ends sooner."""


class Lease:
    """One claim. `deadline` is when it ends unless it is renewed, in seconds of `clock.time()`."""

    def __init__(self, entry: MailboxEntry, deadline: float, clock: WorkerClock) -> None:
        self.entry = entry
        self.entry_id, self.claim_token = claim_of(entry, None)
        self.deadline = deadline
        self.settlement: Settlement | None = None
        self.loss: str | None = None
        """Why the claim is lost, once it is."""
        self.is_reported = False
        """Whether the event of its end was emitted."""
        self.may_be_released = False
        """Whether a release was written whose outcome is not known."""
        self.on_loss: Callable[[], None] = _do_nothing
        """Called when the claim is lost."""
        self.with_ack: Commands = ()
        """What is committed together with its ack."""
        self.with_end: Commands = ()
        """What is committed together with any other end, and even when the claim is lost."""
        self.check: CheckRun | None = None
        """What is checked before a batch of its handler writes to the run that it names."""
        self.after_loss: Callable[[], Awaitable[None]] | None = None
        """What is done once its handler has ended, if the claim was lost."""
        self.refusal: str | None = None
        """Why its entry becomes a dead letter where it would be accepted, if it does."""
        self.clock = clock
        self._began = clock.time()
        self.settling = 0
        """How many writes that settle it are under way."""

    @property
    def is_lost(self) -> bool:
        """Whether the claim was lost: its lease ran out, or the entry was ended from outside."""
        return self.loss is not None

    @property
    def is_open(self) -> bool:
        """Whether the claim is neither settled nor lost."""
        return self.settlement is None and self.loss is None

    @property
    def is_settling(self) -> bool:
        """Whether a write that settles it is under way, so that the store may have settled it."""
        return self.settling > 0

    @property
    def lasted_ms(self) -> int:
        """Milliseconds since the claim."""
        return int((self.clock.time() - self._began) * 1000)

    def remaining_s(self) -> float:
        """Return the seconds until the lease ends, to the millisecond; not positive once it has."""
        return self.seconds_until(self.deadline)

    def lose(self, reason: str) -> bool:
        """Note why the claim is lost and stop its handler. Returns False if it was not open."""
        if not self.is_open:
            return False
        self.loss = reason
        self.on_loss()
        return True

    def seconds_until(self, moment: float) -> float:
        """Return the seconds until `moment`, a time of the clock that the deadline is of."""
        # rounded, as the difference of two floats may leave a rest that no timer can wait for
        return round(moment - self.clock.time(), 3)


async def within(leases: Sequence[Lease], write: Coroutine[Any, Any, T]) -> T:
    """Await `write` until the first of the leases ends; a renewal gives it more time.

    A write always gets half a second: if a lease has expired, the store decides.

    Raises:
        TimeoutError: a lease has expired, and the write was cancelled.
    """
    task = asyncio.create_task(write)
    first = leases[0]
    least = first.clock.time() + _LEAST_WRITE_S
    try:
        # look again after each wait: the heartbeat may have moved the deadlines
        while not task.done():
            end = min(lease.deadline for lease in leases)
            remaining = first.seconds_until(max(end, least))
            if remaining <= 0:
                break
            await wait(first.clock, {task}, remaining)
    finally:
        if not task.done():
            task.cancel()
    if not task.done():
        await finished(task)
    if task.cancelled():
        raise TimeoutError("the lease ran out before the store answered")
    return task.result()


def _do_nothing() -> None:
    pass
