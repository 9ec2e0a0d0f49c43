"""How a claim ends: the write that settles it, and what happened to a claim that was lost."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias, assert_never

from treadle.core.claims import Ack, DeadLetter, Hold, Nack, Release, Settlement
from treadle.core.commands import Checked, Commands
from treadle.core.mailboxes import MailboxEntry
from treadle.errors import ClaimConflict, InvalidValue, NotFound, StoreClosed, TreadleError
from treadle.worker._attempt import Ends, accepted, ended, settling, with_ends
from treadle.worker._clock import sleep, timeout
from treadle.worker._events import (
    DeadLettered,
    Done,
    Event,
    LeaseLost,
    Outage,
    Released,
    Retried,
    Withdrawn,
)
from treadle.worker._failures import describe_error
from treadle.worker._lease import Lease, within
from treadle.worker._settings import RunContext
from treadle.worker.backoff import OUTAGE_BACKOFF, TRANSIENT

Loss: TypeAlias = LeaseLost | Withdrawn

_LOGGER = logging.getLogger("treadle.worker")

_LOOK_S = 1.0
"""The time to find out what ended a claim, in seconds. Short, as the renewals wait for it."""


class Settler:
    """Settles claims, and finds out what happened to those that it cannot settle.

    A write is repeated through outages, for as long as the lease holds.
    """

    def __init__(self, context: RunContext) -> None:
        self._context = context

    async def settle(
        self, ends: Ends, cause: BaseException | None = None, *, or_lose: bool = False
    ) -> None:
        """Write how the claims of an attempt end, in one commit, and emit the event of each.

        If one of them turns out to be lost, the others are released.

        Raises:
            StoreClosed: the store was closed under the worker.
            InvalidValue: the store refuses a value of it; with `or_lose`, the claims are lost.
        """
        while open_ends := _open(ends):
            try:
                await self._write(open_ends)
            except (ClaimConflict, NotFound) as error:
                await self._explain_named(open_ends, error)
            except StoreClosed:
                raise
            except (TreadleError, *TRANSIENT) as error:
                if isinstance(error, InvalidValue) and not or_lose:
                    raise
                for lease, _ in open_ends:
                    self.lose(lease, error)
        self.report([lease for lease, _ in ends], cause)

    async def accept_together(self, leases: Sequence[Lease]) -> bool:
        """Accept the entries of several attempts, in one commit, and emit their events.

        Returns False if it failed, for whatever reason: then settle each attempt by itself.

        Raises:
            StoreClosed: the store was closed under the worker.
        """
        ends = accepted(leases)
        try:
            with settling(ends):
                await within(leases, self._context.store.commit(Checked(_fenced(ends))))
        except StoreClosed:
            raise
        except (TreadleError, *TRANSIENT):
            return False
        self.report(leases)
        return True

    async def settle_with(self, ends: Ends, more: Commands, cause: BaseException) -> None:
        """Write how the claims of an attempt end, in one commit with more, and emit the events.

        Raises:
            TreadleError, OSError: nothing was written, as far as it is known.
        """
        await self._write_with(ends, more)
        self.report([lease for lease, _ in ends], cause)

    def report(self, leases: Sequence[Lease], cause: BaseException | None = None) -> None:
        """Emit the events of the claims that are settled; their handler raised `cause`, if any."""
        for lease in leases:
            if lease.settlement is not None and not lease.is_reported:
                lease.is_reported = True
                self._context.emit(event_for(lease, lease.settlement, cause))

    async def note_lost(self, leases: Sequence[Lease]) -> None:
        """Write what must be recorded even for lost claims, such as tokens; once.

        No claim fences it, so it must be true even if others have the entries now.

        Raises:
            StoreClosed: the store was closed under the worker.
        """
        lost = [lease for lease in leases if lease.is_lost and lease.with_end]
        if not lost:
            return
        commands = tuple(command for lease in lost for command in lease.with_end)
        try:
            async with timeout(self._context.clock, _LOOK_S):
                await self._context.store.commit(commands)
        except StoreClosed:
            raise
        except (TreadleError, *TRANSIENT) as error:
            _LOGGER.warning("tokens of entry %r are not counted: %s", lost[0].entry_id, error)

    async def release(self, leases: Sequence[Lease]) -> None:
        """Release claims whose handlers have not started, each by itself."""
        await asyncio.gather(
            *(self.settle(ended([lease], Release), or_lose=True) for lease in leases)
        )

    async def _explain_named(self, ends: Ends, error: ClaimConflict | NotFound) -> None:
        """Find out what ended the claim that an error is about."""
        named = error.key if isinstance(error, NotFound) else error.entry_id
        leases = [lease for lease, _ in ends if lease.entry_id == named]
        await asyncio.gather(*(self.explain(lease, error) for lease in leases))

    async def explain(self, lease: Lease, error: TreadleError | None = None) -> None:
        """Find out what ended a claim: a write with its own token after all, or a loss."""
        outcome = await self._load_outcome(lease, error)
        if not isinstance(outcome, LeaseLost | Withdrawn):
            lease.settlement = lease.settlement or outcome
            return
        self._lose(lease, outcome)

    def lose(self, lease: Lease, error: Exception) -> None:
        """Give up a claim that the store cannot change, and stop its handler."""
        self._lose(lease, LeaseLost(entry=lease.entry, reason=describe_error(error)))

    def _lose(self, lease: Lease, loss: Loss) -> None:
        if lease.lose(reason_of(loss)):
            self._context.emit(loss)

    async def _load_outcome(self, lease: Lease, error: TreadleError | None) -> Settlement | Loss:
        try:
            async with timeout(self._context.clock, _LOOK_S):
                found = await self._context.store.mailboxes.load_entry(lease.entry_id)
        except StoreClosed:
            raise
        except (TreadleError, *TRANSIENT) as failure:
            return LeaseLost(entry=lease.entry, reason=describe_error(error or failure))
        return outcome_of(lease, found)

    async def _write(self, ends: Ends) -> None:
        await self._write_with(ends, ())

    async def _write_with(self, ends: Ends, more: Commands) -> None:
        commands = (*_fenced(ends), *more)
        leases = [lease for lease, _ in ends]

        async def write() -> None:
            with settling(ends):
                await within(leases[:1], self._context.store.commit(commands))

        await self.through_outages("settle", leases, write)

    async def through_outages(
        self, operation: str, leases: Sequence[Lease], write: Callable[[], Awaitable[None]]
    ) -> None:
        """Write, and try again while the store is not available, as long as the leases are held.

        Raises:
            StoreUnavailable, OSError: the store was not available before the leases ended.
        """
        failures = 0
        while all(lease.is_open for lease in leases):
            try:
                await write()
                return
            except TRANSIENT as error:
                failures += 1
                pause_ms = OUTAGE_BACKOFF.pause_ms(failures, self._context.random)
                if leases[0].remaining_s() * 1000 <= pause_ms:
                    raise
                self._context.emit(Outage(operation=operation, error=error, retry_in_ms=pause_ms))
                await sleep(self._context.clock, pause_ms / 1000)


def _open(ends: Ends) -> Ends:
    """Return the ends of the claims that are open; they are released if another one is lost."""
    if any(lease.is_lost for lease, _ in ends):
        return ended([lease for lease, _ in ends if lease.is_open], Release)
    return [(lease, settlement) for lease, settlement in ends if lease.is_open]


def event_for(lease: Lease, settlement: Settlement, cause: BaseException | None = None) -> Event:
    """Return the event of a settled claim; `cause` is what its handler raised."""
    entry, lasted_ms = lease.entry, lease.lasted_ms
    match settlement:
        case Ack():
            return Done(entry=entry, lasted_ms=lasted_ms)
        case Nack(retry_at=retry_at, error=error):
            due = entry.updated_at + lasted_ms if retry_at is None else retry_at
            return Retried(
                entry=entry, lasted_ms=lasted_ms, error=error, retry_at=due, exception=cause
            )
        case DeadLetter(error=error):
            return DeadLettered(entry=entry, lasted_ms=lasted_ms, error=error, exception=cause)
        case Release(retry_at=retry_at, error=error):
            return Released(entry=entry, lasted_ms=lasted_ms, reason=error, retry_at=retry_at)
        case _:
            assert_never(settlement)


def reason_of(loss: Loss) -> str:
    """Say why a claim was lost."""
    return loss.reason if isinstance(loss, LeaseLost) else f"the entry was {loss.status}"


def outcome_of(lease: Lease, found: MailboxEntry | None) -> Settlement | Loss:
    """Conclude what happened to a claim that is no longer held, from the entry as it is now.

    Each claim raises `attempt_count` by one and a release lowers it by one. So an unchanged count
    means that nobody has claimed the entry since, and that it was settled with our own token. This
    happens when a write succeeded but its answer was lost, or when a handler settled the entry
    through the store.

    A release that may have been committed makes the count say less, as the next claim raises it
    again. What became of the entry is then the outcome of that claim.
    """
    entry, token = lease.entry, lease.claim_token
    if found is None:
        return LeaseLost(entry=entry, reason="the entry was deleted")
    if found.status in ("superseded", "cancelled"):
        return Withdrawn(entry=entry, status=found.status)
    attempts = found.attempt_count - entry.attempt_count
    if lease.may_be_released and attempts == 0 and found.claim_token != token:
        return Release(entry_id=entry.entry_id, claim_token=token)
    error = found.last_error or ""
    match found.status, attempts:
        case "accepted", 0:
            return Ack(entry_id=entry.entry_id, claim_token=token)
        case "dead_letter", 0:
            return DeadLetter(entry_id=entry.entry_id, claim_token=token, error=error)
        case "queued", 0:
            due = found.available_at
            return Nack(entry_id=entry.entry_id, claim_token=token, retry_at=due, error=error)
        case "queued", -1:
            return Release(entry_id=entry.entry_id, claim_token=token)
        case "claimed", 0:
            return LeaseLost(entry=entry, reason="it ran out before it was renewed")
        case _:
            return LeaseLost(
                entry=entry, reason=f"another worker has claimed the entry, which is {found.status}"
            )


def _fenced(ends: Ends) -> Commands:
    """Return the commands that settle claims, with a fence for each that is accepted.

    An ack says that the work took effect, so it must hold the claim as the handler's writes did.
    The others give the entry up, for which its token is enough.
    """
    held = [lease for lease, settlement in ends if isinstance(settlement, Ack)]
    fences = (Hold(entry_id=each.entry_id, claim_token=each.claim_token) for each in held)
    return (*fences, *(settlement for _, settlement in ends), *with_ends(ends))
