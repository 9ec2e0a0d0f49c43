"""One attempt: what a handler works on, which is one claim or several of one mailbox."""

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import Context
from typing import TypeAlias

from treadle.core.claims import Ack, DeadLetter, Release, Settlement
from treadle.core.commands import AnyCommand
from treadle.errors import ClaimConflict
from treadle.worker._lease import Lease
from treadle.worker.backoff import TRANSIENT

Ends: TypeAlias = Sequence[tuple[Lease, Settlement]]
"""Claims, and how each ends."""


class Attempt:
    """The entry that was claimed, and those that were taken with it.

    They are one turn: if one of them is lost, the handler is cancelled.
    """

    def __init__(self, first: Lease) -> None:
        self.first = first
        self.leases: list[Lease] = []
        """The claims of the entries that the handler has, the first one first."""
        self.kept: list[Lease] = []
        """Claims that were taken, and kept for when the handler asks for their entries."""
        self.takes_more = True
        """Whether entries may be added; not once one is due that has to be worked alone."""
        self.has_committed = False
        """Whether the handler has committed a batch."""
        self.is_alone = False
        """Whether the worker runs nothing beside it: the entry may end the process."""
        self.is_cancelled = False
        """Whether the handler should stop."""
        self.error: BaseException | None = None
        """What the handler has raised."""
        self.is_stopped = False
        """Whether the handler was stopped, so that what it raised is not a failure."""
        self._news: asyncio.Event | None = None
        self.handling: asyncio.Task[None] | None = None
        """The task of the handler."""
        self.context = Context()
        """What hooks have set for the attempt, such as the span of a trace, to settle it in."""
        self.add([first])

    @property
    def news(self) -> asyncio.Event:
        """Set when the mailbox may have changed, and when the handler should stop."""
        if self._news is None:  # most handlers never ask
            self._news = asyncio.Event()
            if self.is_cancelled:
                self._news.set()
        return self._news

    @property
    def loss(self) -> str | None:
        """Why the claim of one of its entries is lost; None if all are settled or held."""
        for lease in self.leases:
            if lease.loss is not None:
                return lease.loss
        return None

    @property
    def is_settled(self) -> bool:
        """Whether all its entries are settled."""
        return all(lease.settlement is not None for lease in self.leases)

    @property
    def can_be_accepted(self) -> bool:
        """Whether nothing but an ack is left to do, once its handler has ended."""
        return self.error is None and not self.kept and self.loss is None

    def list_held(self) -> list[Lease]:
        """Return its claims that are neither settled nor lost."""
        return [lease for lease in self.leases if lease.is_open]

    def list_kept(self) -> list[Lease]:
        """Return the claims that are kept for the handler and were not ended from outside."""
        return [lease for lease in self.kept if lease.is_open]

    def require_held(self) -> list[Lease]:
        """Return what `list_held` does.

        Raises:
            ClaimConflict: one of its claims is lost, or all are settled.
        """
        held = self.list_held()
        if self.loss is not None or not held:
            raise ClaimConflict(self.first.entry_id, self.loss or "this delivery is settled")
        return held

    def add(self, leases: Sequence[Lease]) -> None:
        """Give entries to the handler."""
        for lease in leases:
            lease.on_loss = self.cancel
        self.leases += leases

    def cancel(self) -> None:
        """Ask the handler to stop."""
        self.is_cancelled = True
        if self._news is not None:
            self._news.set()
        if self.handling is not None:
            self.handling.cancel()


@contextmanager
def settling(ends: Ends) -> Generator[None]:
    """Settle claims by what the block writes, if the block succeeds."""
    for lease, _ in ends:
        lease.settling += 1
    try:
        yield
        for lease, settlement in ends:
            lease.settlement = settlement
    except (*TRANSIENT, asyncio.CancelledError):
        for lease, settlement in ends:
            lease.may_be_released |= isinstance(settlement, Release)
        raise
    finally:
        for lease, _ in ends:
            lease.settling -= 1


def accepted(leases: Sequence[Lease]) -> Ends:
    """Return the ends of claims: each entry is accepted, unless it was refused."""
    return [(lease, _accepted(lease)) for lease in leases]


def _accepted(lease: Lease) -> Settlement:
    entry_id, token = lease.entry_id, lease.claim_token
    if lease.refusal is None:
        return Ack(entry_id=entry_id, claim_token=token)
    return DeadLetter(entry_id=entry_id, claim_token=token, error=lease.refusal)


def with_ends(ends: Ends) -> list[AnyCommand]:
    """Return what is committed together with these ends."""
    return [
        command
        for lease, settlement in ends
        for command in (lease.with_ack if isinstance(settlement, Ack) else lease.with_end)
    ]


def ended(leases: Sequence[Lease], how: Callable[..., Settlement]) -> Ends:
    """Return the ends of claims that all end alike, such as by a release."""
    return [
        (lease, how(entry_id=lease.entry_id, claim_token=lease.claim_token)) for lease in leases
    ]
