"""A batch: writes that are collected, and committed together when its block ends."""

import warnings
from collections.abc import Awaitable, Callable
from enum import Enum
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from treadle.core.commands import Command, Commands, Receipt
from treadle.store.documents import DocumentWrites
from treadle.store.mailbox_writes import MailboxWrites
from treadle.store.runs import BatchRuns, Runs
from treadle.store.thread_writes import ThreadWrites
from treadle.store.writes import Write

T = TypeVar("T")

Commit = Callable[[Commands], Awaitable[Receipt]]


class _State(Enum):
    """How far a batch is; the value says why its block cannot be entered."""

    NEW = ""
    ENTERED = "this batch is in use: its block has not ended; make another one"
    FAILED = "the block of this batch has failed; make another one"
    COMMITTING = (
        "the commit of this batch was interrupted, and may have happened all the same; "
        "look at the store, and make another one"
    )
    COMMITTED = "this batch is committed; make another one"


class _Writes:
    """The writes of a batch.

    They do not refer to the batch, so both are freed at once, and the warning comes in time.
    """

    def __init__(self) -> None:
        self.commands: list[Command[Any]] = []
        self.state = _State.NEW
        self.was_entered = False
        self.receipt: Receipt | None = None

    def __del__(self) -> None:
        if self.commands and not self.was_entered:
            message = "a batch was never entered: nothing was written; use it in a `with` block"
            warnings.warn(message, RuntimeWarning, source=self, stacklevel=2)

    def add(self, command: Command[T]) -> Write[T]:
        """Add a write."""
        if self.state not in (_State.NEW, _State.ENTERED):
            raise RuntimeError(self.state.value)
        self.commands.append(command)
        return Write(command, find_result=partial(self._result_at, len(self.commands) - 1))

    def _result_at(self, index: int) -> Any:
        if self.receipt is None:
            raise RuntimeError("the batch is not committed; ask when its block has ended")
        return self.receipt.results[index]


class Batch:
    """One atomic step: `async with store.batch() as step:`, then `step.threads.append(...)`.

    Nothing is written before the block ends; then all of it is written or nothing. An exception in
    the block writes nothing. The writes of a batch are not awaited. Their results are available
    after the block: `sent.result` for `sent = step.mailboxes.send(...)`. Only
    `step.runs.request(...)` is awaited: it looks at the store.

    If a write fails, leaving the block raises its error; `TreadleError.command` names the write.
    A batch that has writes and is dropped without being entered warns with `RuntimeWarning`.
    """

    def __init__(self, commit: Commit, runs: Runs) -> None:
        self._commit = commit
        self._writes = writes = _Writes()
        self.threads = ThreadWrites(writes.add)
        """Writes to threads."""
        self.runs = BatchRuns(writes.add, runs)
        """Writes to runs, and requests for them."""
        self.mailboxes = MailboxWrites(writes.add)
        """Writes to mailboxes, and `MailboxWrites.hold`."""
        self.documents = DocumentWrites(writes.add)
        """Writes to documents."""

    @property
    def receipt(self) -> Receipt | None:
        """The receipt of the commit; None until then."""
        return self._writes.receipt

    async def __aenter__(self) -> "Batch":
        self._enter()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self._fail()
            return
        writes = self._writes
        writes.state = _State.COMMITTING
        try:
            writes.receipt = await self._commit(tuple(writes.commands))
        except Exception:
            writes.state = _State.NEW  # the batch may be entered again, to try it once more
            raise
        # Not after a cancellation: the backend may have committed, and must not do it twice.
        writes.state = _State.COMMITTED

    def _enter(self) -> None:
        if self._writes.state is not _State.NEW:
            raise RuntimeError(self._writes.state.value)
        self._writes.state = _State.ENTERED
        self._writes.was_entered = True

    def _fail(self) -> None:
        self._writes.state = _State.FAILED
