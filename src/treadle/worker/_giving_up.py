"""Giving up: what a program writes in the commit in which an entry becomes a dead letter."""

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from treadle.core.claims import DeadLetter
from treadle.core.commands import Commands, Receipt
from treadle.errors import StoreClosed, TreadleError
from treadle.store.batch import Batch
from treadle.worker._attempt import Ends
from treadle.worker._clock import timeout
from treadle.worker._events import DeadLettered
from treadle.worker._failures import is_of_process
from treadle.worker._outcomes import Settler, event_for
from treadle.worker._settings import RunContext
from treadle.worker.backoff import TRANSIENT

OnDeadLetter: TypeAlias = Callable[[DeadLettered, Batch], Awaitable[None] | None]
"""A hook that adds writes to the batch in which an entry becomes a dead letter."""

_LOGGER = logging.getLogger("treadle.worker")


class GivingUp:
    """Settles claims together with what a hook writes for those that become dead letters."""

    def __init__(self, context: RunContext, hook: OnDeadLetter, settler: Settler) -> None:
        self._context = context
        self._hook = hook
        self._settler = settler

    async def settle(self, ends: Ends, cause: BaseException) -> bool:
        """Write how claims end, with the writes of the hook, all in one commit.

        Returns False if there is nothing to add, or if it failed: then settle them without.

        Raises:
            StoreClosed: the store was closed under the worker.
        """
        added = await self._added(ends, cause)
        if not added:
            return False
        try:
            await self._settler.settle_with(ends, added, cause)
        except StoreClosed:
            raise
        except (TreadleError, *TRANSIENT) as error:
            message = "what on_dead_letter writes for entry %r is left out: %s"
            _LOGGER.error(message, ends[0][0].entry_id, error)
            return False
        return True

    async def _added(self, ends: Ends, cause: BaseException) -> Commands:
        commands: list[Commands] = []

        async def collect(batch: Commands) -> Receipt:
            commands.append(tuple(batch))
            return Receipt(results=())

        for lease, settlement in ends:
            if not isinstance(settlement, DeadLetter):
                continue
            event = event_for(lease, settlement, cause)
            assert isinstance(event, DeadLettered)  # noqa: S101
            try:
                limit = timeout(self._context.clock, self._context.settings.lease_s)
                async with limit, Batch(collect, self._context.store.runs) as step:
                    if inspect.isawaitable(result := self._hook(event, step)):
                        await result
            except BaseException as error:
                if is_of_process(error):
                    raise
                message = "on_dead_letter failed for entry %r, which is a dead letter all the same"
                _LOGGER.exception(message, lease.entry_id)
        return tuple(command for batch in commands for command in batch)
