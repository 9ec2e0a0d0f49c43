"""The last write of a delivery: repeated through outages while the lease holds, and then told."""

import asyncio
from collections.abc import Sequence

from treadle.core.commands import Ack, Commands, Hold, Release, Settlement
from treadle.errors import ClaimConflict, NotFound, StoreClosed, TreadleError
from treadle.store.store import Store
from treadle.worker.decision import describe_error
from treadle.worker.events import LeaseLost, OnEvent, Outage, Withdrawn
from treadle.worker.fate import Loss, find_fate, reason_of, tell
from treadle.worker.lease import Lease
from treadle.worker.outage import PATIENCE, TRANSIENT

_LOOK_S = 1.0
"""How long to look for what became of a claim that is over, in seconds: renewals wait for it."""


class Settler:
    """Settles claims, and finds out what happened to those that cannot be."""

    def __init__(self, store: Store, emit: OnEvent) -> None:
        self._store = store
        self._emit = emit

    async def settle(
        self, lease: Lease, settlement: Settlement, cause: BaseException | None = None
    ) -> None:
        """Write `settlement` and tell what came of it.

        Raises:
            StoreClosed: the store was closed under the worker.
        """
        try:
            await self._write(lease, settlement)
        except (ClaimConflict, NotFound) as error:
            await self.explain(lease, error)
        except StoreClosed:
            raise
        except (TreadleError, *TRANSIENT) as error:
            self._lose(lease, LeaseLost(entry=lease.entry, reason=describe_error(error)))
        if lease.settlement is not None:
            self._emit(tell(lease, lease.settlement, cause))

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give back claims whose handlers have not started."""
        releases = (
            Release(entry_id=lease.entry_id, claim_token=lease.claim_token) for lease in leases
        )
        await asyncio.gather(*map(self.settle, leases, releases))

    async def explain(self, lease: Lease, error: TreadleError | None = None) -> None:
        """A claim is not held any more: settled with its own token after all, or lost."""
        fate = await self._find_fate(lease, error)
        if not isinstance(fate, LeaseLost | Withdrawn):
            lease.settlement = lease.settlement or fate
            return
        self._lose(lease, fate)

    def _lose(self, lease: Lease, loss: Loss) -> None:
        if lease.lose(reason_of(loss)):
            self._emit(loss)

    async def _find_fate(self, lease: Lease, error: TreadleError | None) -> Settlement | Loss:
        try:
            async with asyncio.timeout(_LOOK_S):
                found = await self._store.mailboxes.load(lease.entry_id)
        except StoreClosed:
            raise
        except (TreadleError, *TRANSIENT) as failure:
            return LeaseLost(entry=lease.entry, reason=describe_error(error or failure))
        return find_fate(lease, found)

    async def _write(self, lease: Lease, settlement: Settlement) -> None:
        commands = _fenced(lease, settlement)
        failures = 0
        while lease.is_open:
            try:
                with lease.settling(settlement):
                    await lease.within(self._store.commit(commands))
                return
            except TRANSIENT as error:
                failures += 1
                pause_ms = PATIENCE.pause_ms(failures)
                if lease.remaining_s() * 1000 <= pause_ms:
                    raise
                self._emit(Outage(operation="settle", error=error, retry_in_ms=pause_ms))
                await asyncio.sleep(pause_ms / 1000)


def _fenced(lease: Lease, settlement: Settlement) -> Commands:
    """An ack says that the work took effect, so it is held to the fence as its writes are.

    The others give the entry up, for which its token is enough.
    """
    if not isinstance(settlement, Ack):
        return (settlement,)
    return (Hold(entry_id=lease.entry_id, claim_token=lease.claim_token), settlement)
