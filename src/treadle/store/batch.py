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
from treadle.store.writes import Plan, Planned, Write

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
        self.parts: list[Command[Any] | Planned[Any]] = []
        self.starts: list[int] = []
        """Where the commands of each part begin, once the batch has looked."""
        self.state = _State.NEW
        self.was_entered = False
        self.receipt: Receipt | None = None

    def __del__(self) -> None:
        if self.parts and not self.was_entered:
            message = "a batch was never entered: nothing was written; use it in a `with` block"
            warnings.warn(message, RuntimeWarning, source=self, stacklevel=2)

    def add(self, command: Command[T]) -> Write[T]:
        """Add a write."""
        self._require_open()
        self.parts.append(command)
        return Write(command, find_result=partial(self._result_of, len(self.parts) - 1))

    def add_planned(self, plan: Plan[T]) -> Planned[T]:
        """Add what `plan` returns, when the batch commits, or when it is awaited."""
        self._require_open()
        planned = Planned(plan)
        self.parts.append(planned)
        return planned

    async def look(self) -> Commands:
        """Return the commands of the batch, when all parts have looked at what they need."""
        commands: list[Command[Any]] = []
        self.starts = []
        for part in self.parts:
            self.starts.append(len(commands))
            if isinstance(part, Planned):
                await part.look()
                commands += part.commands
            else:
                commands.append(part)
        return tuple(commands)

    def _require_open(self) -> None:
        if self.state not in (_State.NEW, _State.ENTERED):
            raise RuntimeError(self.state.value)

    def _result_of(self, number: int) -> Any:
        if self.receipt is None:
            raise RuntimeError("the batch is not committed; ask when its block has ended")
        return self.receipt.results[self.starts[number]]


class Batch:
    """One atomic step: `async with store.batch() as step:`, then `step.threads.append(...)`.

    Nothing is written before the block ends; then all of it is written or nothing. An exception in
    the block writes nothing. The writes of a batch are not awaited. Their results are available
    after the block: `sent.result` for `sent = step.mailboxes.send(...)`. Only
    `step.runs.request(...)` may be awaited, to know its result before.

    If a write fails, leaving the block raises its error; `TreadleError.command` names the write.
    A batch that has writes and is dropped without being entered warns with `RuntimeWarning`.
    """

    def __init__(self, commit: Commit, runs: Runs) -> None:
        self._commit = commit
        self._writes = writes = _Writes()
        self.threads = ThreadWrites(writes.add)
        """Writes to threads."""
        self.runs = BatchRuns(writes.add, writes.add_planned, runs)
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
        commands = await self._look()
        writes.state = _State.COMMITTING
        try:
            writes.receipt = await self._commit(commands)
        except Exception:
            writes.state = _State.NEW  # the batch may be entered again, to try it once more
            raise
        # Not after a cancellation: the backend may have committed, and must not do it twice.
        writes.state = _State.COMMITTED

    async def _look(self) -> Commands:
        try:
            return await self._writes.look()
        except Exception:
            self._writes.state = _State.NEW  # nothing was written, so it may be tried once more
            raise
        except BaseException:
            self._fail()
            raise

    def _enter(self) -> None:
        if self._writes.state is not _State.NEW:
            raise RuntimeError(self._writes.state.value)
        self._writes.state = _State.ENTERED
        self._writes.was_entered = True

    def _fail(self) -> None:
        self._writes.state = _State.FAILED
