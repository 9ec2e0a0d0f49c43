"""A batch: writes that are collected, and committed together when its block ends."""

from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from treadle.core.commands import Command, Commands, Receipt
from treadle.store.mailboxes import MailboxWrites
from treadle.store.runs import RunWrites
from treadle.store.threads import ThreadWrites
from treadle.store.writes import Write

T = TypeVar("T")

Commit = Callable[[Commands], Awaitable[Receipt]]


class Batch:
    """One atomic step: `async with store.batch() as step:`, then `step.threads.append(...)`.

    Nothing is written before the block ends; then all of it is written or nothing. An exception in
    the block writes nothing. The writes of a batch are not awaited. Their results are available
    after the block: `sent.result` for `sent = step.mailboxes.send(...)`.

    If a write fails, leaving the block raises its error; `TreadleError.command` names the write.
    """

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._commands: list[Command[Any]] = []
        self.threads = ThreadWrites(self._add)
        """Writes to threads."""
        self.runs = RunWrites(self._add)
        """Writes to runs."""
        self.mailboxes = MailboxWrites(self._add)
        """Writes to mailboxes, and `MailboxWrites.hold`."""
        self.receipt: Receipt | None = None
        """The receipt of the commit; None until then."""
        self._has_failed = False

    async def __aenter__(self) -> "Batch":
        self._require_open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._has_failed = error is not None
        if error is None:
            self.receipt = await self._commit(tuple(self._commands))

    def _require_open(self) -> None:
        """Refuse writes after the commit, or after a block that has failed.

        A batch whose commit has failed may be entered again, to try it once more.

        Raises:
            RuntimeError: the batch is committed, or its block has failed.
        """
        if self.receipt is not None:
            raise RuntimeError("this batch is committed; make another one")
        if self._has_failed:
            raise RuntimeError("the block of this batch has failed; make another one")

    def _add(self, command: Command[T]) -> Write[T]:
        self._require_open()
        self._commands.append(command)
        return Write(command, find_result=partial(self._result_at, len(self._commands) - 1))

    def _result_at(self, index: int) -> Any:
        if self.receipt is None:
            raise RuntimeError("the batch is not committed; ask after the `async with` block")
        return self.receipt.results[index]
