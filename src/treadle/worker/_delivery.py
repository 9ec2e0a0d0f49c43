"""The argument of a handler: an entry, its thread, and batches that only its holder can commit."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from treadle.backends.cancellation import shielded
from treadle.core.claims import Ack, DeadLetter, Hold, Nack, Release
from treadle.core.codec import check_integer
from treadle.core.commands import AnyCommand, Commands, Receipt
from treadle.core.mailbox_pauses import Pause
from treadle.core.mailboxes import MailboxEntry
from treadle.core.run_commands import UpsertRun
from treadle.core.taking import Take
from treadle.core.thread_commands import AppendThread
from treadle.core.threads import ThreadHead
from treadle.store.batch import Batch, Commit
from treadle.store.runs import Runs
from treadle.store.store import Store
from treadle.worker._attempt import Attempt, Ends, accepted, ended, settling, with_ends
from treadle.worker._lease import Lease, within
from treadle.worker._taking import Taker

T = TypeVar("T")

SETTLEMENTS = (Ack, Nack, DeadLetter, Release)


class DeliveryBatch(Batch):
    """A `treadle.Batch`, fenced by the delivery's claim.

    `async with` in an asynchronous handler, plain `with` in a handler that runs in a thread.
    """

    def __init__(
        self,
        commit: Commit,
        runs: Runs,
        call: Callable[[Coroutine[Any, Any, None]], None],
        is_on_loop: Callable[[], bool],
    ) -> None:
        super().__init__(commit, runs)
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
    """One attempt at an entry, the argument of a handler, and at those that come with it.

    If the handler returns without having settled the entries, the worker acks them.
    """

    def __init__(self, store: Store, attempt: Attempt, taker: Taker) -> None:
        self._store = store
        self._attempt = attempt
        self._taker = taker
        self._loop = asyncio.get_running_loop()

    @property
    def entry(self) -> MailboxEntry:
        """The entry as it was claimed; `entry.attempt_count` is 1 at the first attempt."""
        return self._attempt.first.entry

    @property
    def entries(self) -> tuple[MailboxEntry, ...]:
        """The entry, followed by those that `Worker(coalesce=…)` and `take` have added.

        They end together. If the handler returns, all are accepted. If it fails, all are tried
        again, in their order, and each counts the attempt; the last of several attempts is made
        with each entry alone. If it raises `Reject`, the first becomes a dead letter, and the
        others are released. If one of them is cancelled from outside, the handler is cancelled, and
        the others are released.
        """
        return tuple(lease.entry for lease in self._attempt.leases)

    @property
    def store(self) -> Store:
        """The worker's store, to read from. Writes through it are not fenced by the claim."""
        return self._store

    @property
    def cancelled(self) -> bool:
        """Whether the handler should stop: a claim is lost, or the worker stops.

        An async handler is cancelled as well; a handler in a thread should check this regularly.
        """
        return self._attempt.is_cancelled

    @property
    def is_last_attempt(self) -> bool:
        """Whether the entry becomes a dead letter if the handler fails now.

        It has been claimed `Worker(max_attempts=…)` times. A `Snooze` puts it off all the same.
        """
        return self._taker.is_last_attempt(self.entry)

    @property
    def settled(self) -> bool:
        """Whether all entries are settled. If they are, the worker writes nothing more."""
        return self._attempt.is_settled

    async def take(self, limit: int = 1) -> tuple[MailboxEntry, ...]:
        """Take further due entries of this mailbox into the delivery: at most `limit`, in order.

        So a turn that runs gets what its user wrote meanwhile. They are in `entries` from then on.
        The result is empty if nothing is due, while the mailbox is paused, and behind a retry that
        is not due. An entry whose last attempt this would be is not taken, and nothing behind it.

        Args:
            limit: how many at most.

        Raises:
            InvalidValue: `limit` is not an integer.
            ClaimConflict: a claim is lost, or all entries are settled.
            TimeoutError: the store did not answer before the lease ended.
        """
        return await self._taker.take(self._attempt, check_integer("take.limit", limit))

    async def wait_for_more(self, timeout_ms: int) -> bool:
        """Wait until something further of this mailbox is due, for at most `timeout_ms`.

        Returns whether it is; `take` gives it. What is not taken is released when the delivery
        ends, and that does not count as an attempt. It also returns, with False, when the handler
        should stop (see `cancelled`).

        Args:
            timeout_ms: how many milliseconds at most.

        Raises:
            InvalidValue, ClaimConflict, TimeoutError: as for `take`.
        """
        timeout_ms = check_integer("wait_for_more.timeout_ms", timeout_ms)
        return await self._taker.wait(self._attempt, timeout_ms / 1000)

    async def thread(self) -> ThreadHead | None:
        """Load the thread that has the mailbox's id, with its version; None if there is none.

        Raises:
            StoreUnavailable: the store cannot be read now.
        """
        return await self._store.threads.load(self.entry.mailbox_id)

    def batch(self, *, settle: bool = True) -> DeliveryBatch:
        """Collect writes that commit together, and only while all `entries` are held.

        The claims are checked first, and the acks come last, except for entries that the batch
        settles in another way (`step.mailboxes.nack(delivery.entry)` …). With `settle=False`
        nothing is added at the end: use it for all steps but the last one. `receipt.results` holds
        the results of your own writes. What the batch takes with
        `step.mailboxes.take(delivery.entry)` is in `entries` after it.

        Errors are raised at the end of the block.

        Raises:
            ClaimConflict: a claim is lost, or all are settled; nothing was written.
            TimeoutError: the store did not answer before the lease ended.
            TreadleError: a write of the batch failed; nothing was written.
        """
        return self._batch(Ack if settle else None)

    def pause(self, *, until: int | None = None, reason: str | None = None) -> DeliveryBatch:
        """Collect writes that commit together with a pause of this mailbox, to wait for a human.

        The batch ends this delivery: its entries are released, without an attempt counted, and the
        mailbox is paused. So nothing is held for days. `store.mailboxes.resume`, in one batch with
        the answer, hands them out again at once. An interrupt ends the pause, too, and the
        entries with it. If a run of the entry was answered since the entry was claimed, and no
        append has updated it since, nothing is paused, and the entries are handed out again at
        once. Return after the block.

        Args:
            until: when the pause ends by itself, in unix milliseconds; None: never.
            reason: why, for those who read `MailboxState.pause_reason`.

        Raises:
            ClaimConflict, TimeoutError, TreadleError: as for `batch`.
        """
        pause = Pause(
            mailbox_id=self.entry.mailbox_id,
            until=until,
            reason=reason,
            unless_answered=self.entry.entry_id,
            since=self.entry.updated_at,
        )
        return self._batch(Release, pause)

    def _batch(self, end: type[Ack | Release] | None, *more: AnyCommand) -> DeliveryBatch:
        async def commit(commands: Commands) -> Receipt:
            return await shielded(self._commit(commands, end, more))

        return DeliveryBatch(commit, self._store.runs, self.call, partial(_runs_on, self._loop))

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

    async def _commit(
        self, commands: Commands, end: type[Ack | Release] | None, more: Commands
    ) -> Receipt:
        """Commit the commands, an `end` for each entry that they do not settle, and `more`."""
        receipt = await self._commit_held(commands, end, more)
        self._attempt.has_committed = True
        return receipt

    async def _commit_held(
        self, commands: Commands, end: type[Ack | Release] | None, more: Commands
    ) -> Receipt:
        attempt = self._attempt
        held = attempt.require_held()
        given = _settlements(commands, held)
        left = [lease for lease in held if lease not in dict(given)]
        added = _added(left, end)
        fences = [
            *(Hold(entry_id=each.entry_id, claim_token=each.claim_token) for each in held),
            *_checks_of(attempt.first, commands),
        ]
        last = [*with_ends([*given, *added]), *(settlement for _, settlement in added)]
        deadline = held[0].deadline
        with settling([*given, *added]):
            write = self._store.commit((*fences, *commands, *last, *more))
            receipt = await within(held[:1], write)
        results = receipt.results[len(fences) : len(fences) + len(commands)]
        for command, result in zip(commands, results, strict=True):
            if isinstance(command, Take):
                self._taker.add(attempt, result, deadline)
        return Receipt(results=results)


def leases_of(delivery: Delivery) -> tuple[Lease, ...]:
    """Return the claims of a delivery, those of `Delivery.entries`."""
    return tuple(delivery._attempt.leases)  # pyright: ignore[reportPrivateUsage] - of this module


async def take_with_answers(delivery: Delivery, limit: int) -> tuple[MailboxEntry, ...]:
    """Take as `Delivery.take` does, and all that was sent to follow the entry of the delivery.

    Raises:
        InvalidValue, ClaimConflict, TimeoutError: as for `Delivery.take`.
    """
    limit = check_integer("take.limit", limit)
    taker, attempt = delivery._taker, delivery._attempt  # pyright: ignore[reportPrivateUsage] - of this module
    return await taker.take_with_answers(attempt, limit)


async def commit_held(delivery: Delivery, commands: Commands) -> None:
    """Commit something of the worker's own, only while all entries of a delivery are held.

    It is not a batch of the handler's, which may have forgotten its own.

    Raises:
        ClaimConflict, TimeoutError, TreadleError: as for `Delivery.batch`.
    """
    commit = delivery._commit_held(commands, None, ())  # pyright: ignore[reportPrivateUsage] - of this module
    await shielded(commit)


def _added(leases: Sequence[Lease], end: type[Ack | Release] | None) -> Ends:
    """Return how claims end that a batch does not settle itself."""
    if end is None:
        return []
    return accepted(leases) if end is Ack else ended(leases, end)


def _settlements(commands: Commands, leases: Sequence[Lease]) -> Ends:
    """Return how commands settle some of the claims; of several that do, the first counts."""
    of_entries = {lease.entry_id: lease for lease in leases}
    return [
        (lease, command)
        for command in commands
        if isinstance(command, SETTLEMENTS) and (lease := of_entries.pop(command.entry_id, None))
    ]


def _checks_of(lease: Lease, commands: Commands) -> Commands:
    """Return the check of the run of a turn, if commands write to it."""
    check = lease.check
    return () if check is None or check.run_id not in map(_run_written_by, commands) else (check,)


def _run_written_by(command: AnyCommand) -> str | None:
    match command:
        case AppendThread(changes=changes):
            return changes.run_id
        case UpsertRun(run=run):
            return run.run_id
        case _:
            return None


def _runs_on(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
