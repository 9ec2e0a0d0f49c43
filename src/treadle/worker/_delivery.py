"""The argument of a handler: an entry, its thread, and batches that only its holder can commit."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from treadle.backends.cancellation import shielded
from treadle.core.claims import Ack, DeadLetter, Hold, Nack, Release, Settlement
from treadle.core.commands import Commands, Receipt
from treadle.core.mailboxes import MailboxEntry
from treadle.core.pauses import Pause
from treadle.core.threads import ThreadHead
from treadle.errors import ClaimConflict
from treadle.store.batch import Batch, Commit
from treadle.store.store import Store
from treadle.worker._lease import Lease

T = TypeVar("T")

SETTLEMENTS = (Ack, Nack, DeadLetter, Release)


class DeliveryBatch(Batch):
    """A `treadle.Batch`, fenced by the delivery's claim.

    `async with` in an asynchronous handler, plain `with` in a handler that runs in a thread.
    """

    def __init__(
        self,
        commit: Commit,
        call: Callable[[Coroutine[Any, Any, None]], None],
        is_on_loop: Callable[[], bool],
    ) -> None:
        super().__init__(commit)
        self._call = call
        self._is_on_loop = is_on_loop

    async def __aenter__(self) -> "DeliveryBatch":
        self._enter()
        return self

    def __enter__(self) -> "DeliveryBatch":
        if self._is_on_loop():
            raise RuntimeError("in an asynchronous handler, write `async with delivery.batch()`")
        self._enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self._call(self.__aexit__(None, None, None))
        else:
            self._fail()


class Delivery:
    """One attempt at an entry, the argument of a handler.

    If the handler returns without having settled the entry, the worker acks it.
    """

    def __init__(self, store: Store, lease: Lease) -> None:
        self._store = store
        self._lease = lease
        self._loop = asyncio.get_running_loop()

    @property
    def entry(self) -> MailboxEntry:
        """The entry as it was claimed; `entry.attempt_count` is 1 at the first attempt."""
        return self._lease.entry

    @property
    def store(self) -> Store:
        """The worker's store, to read from. Writes through it are not fenced by the claim."""
        return self._store

    @property
    def cancelled(self) -> bool:
        """Whether the handler should stop: the lease is lost, or the worker stops.

        An async handler is cancelled as well; a handler in a thread should check this regularly.
        """
        return self._lease.cancelled.is_set()

    @property
    def settled(self) -> bool:
        """Whether the entry is settled. If it is, the worker writes nothing more."""
        return self._lease.settlement is not None

    async def thread(self) -> ThreadHead | None:
        """Load the thread that has the mailbox's id, with its version; None if there is none.

        Raises:
            StoreUnavailable: the store cannot be read now.
        """
        return await self._store.threads.load(self.entry.mailbox_id)

    def batch(self, *, settle: bool = True) -> DeliveryBatch:
        """Collect writes that commit together, and only while this claim is held.

        The claim is checked first, and the ack comes last, unless the batch settles the entry in
        another way (`step.mailboxes.nack(delivery.entry)` …). With `settle=False` nothing is added
        at the end: use it for all steps but the last one. `receipt.results` holds the results of
        your own writes.

        Errors are raised at the end of the block.

        Raises:
            ClaimConflict: the claim is lost or settled; nothing was written.
            TimeoutError: the store did not answer before the lease ended.
            TreadleError: a write of the batch failed; nothing was written.
        """
        lease = self._lease
        ack = Ack(entry_id=lease.entry_id, claim_token=lease.claim_token)
        return self._batch((ack,) if settle else ())

    def pause(self, *, until: int | None = None, reason: str | None = None) -> DeliveryBatch:
        """Collect writes that commit together with a pause of this mailbox, to wait for a human.

        The batch ends this delivery: the entry is released, which counts as no attempt, and the
        mailbox is paused. So nothing is held for days. `store.mailboxes.resume`, in one batch with
        the answer, hands the entry out again at once. An interrupt ends the pause, too, and the
        entry with it. Return after the block.

        Args:
            until: when the pause ends by itself, in unix milliseconds; None: never.
            reason: why, for those who read `MailboxState.pause_reason`.

        Raises:
            ClaimConflict, TimeoutError, TreadleError: as for `batch`.
        """
        lease = self._lease
        release = Release(entry_id=lease.entry_id, claim_token=lease.claim_token)
        pause = Pause(mailbox_id=self.entry.mailbox_id, until=until, reason=reason)
        return self._batch((release, pause))

    def _batch(self, last: Commands) -> DeliveryBatch:
        async def commit(commands: Commands) -> Receipt:
            return await shielded(self._commit(commands, last))

        return DeliveryBatch(commit, self.call, partial(_runs_on, self._loop))

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work` on the worker's event loop, from a handler that runs in a thread.

        For example `head = delivery.call(delivery.thread())`.

        Raises:
            RuntimeError: this is the event loop's own thread, or the loop is closed.
        """
        if _runs_on(self._loop):
            work.close()
            raise RuntimeError("call() would block the event loop it waits for; use await")
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            work.close()
            raise
        return future.result()

    async def _commit(self, commands: Commands, last: Commands) -> Receipt:
        """Commit the commands and then `last`, which settles the entry unless they have."""
        lease = self._lease
        if not lease.is_open:
            raise ClaimConflict(lease.entry_id, lease.loss or "this delivery is settled")
        settlement = self._find_settlement(commands)
        if settlement is None:
            settlement = self._find_settlement(last)
        else:
            last = tuple(each for each in last if not isinstance(each, SETTLEMENTS))
        fence = Hold(entry_id=lease.entry_id, claim_token=lease.claim_token)
        with lease.settling(settlement) if settlement is not None else nullcontext():
            receipt = await lease.within(self._store.commit((fence, *commands, *last)))
        lease.has_committed = True
        return Receipt(results=receipt.results[1 : 1 + len(commands)])

    def _find_settlement(self, commands: Commands) -> Settlement | None:
        for command in commands:
            if not isinstance(command, SETTLEMENTS):
                continue
            if command.entry_id == self._lease.entry_id:
                return command
        return None


def _runs_on(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
