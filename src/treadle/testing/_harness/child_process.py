"""A child process with a handle on the store: it runs operations, and may die or pause in one."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeAlias

import msgspec

from treadle import Store
from treadle.testing._harness.call_results import result_or_error
from treadle.testing._harness.faults import FaultAt
from treadle.testing._harness.process_pool import give_back, take_server
from treadle.testing._harness.timeouts import TIMEOUT_SECONDS
from treadle.testing.clock import ManualClock
from treadle.testing.subject import Subject

Operation: TypeAlias = Callable[[Store], Awaitable[Any]]
"""Something to do with a store; a function that a child process can import."""

BLOCKED_SECONDS = 0.03
"""How long an operation may take to answer before it counts as blocked by another process."""

_DISCONNECTED = (EOFError, BrokenPipeError, ConnectionResetError)
"""The errors of a pipe when the process at its other end is gone."""


class Fault(msgspec.Struct, frozen=True):
    """What happens to a child process before the `at`-th step of its operation, counted from 1."""

    kind: Literal["die", "pause"]
    at: int


class Died(msgspec.Struct, frozen=True):
    """The child process died before it could answer."""


PAUSED = "paused"
"""The answer of a child process that pauses in the middle of its operation."""
_READY = "ready"
_CLOSED = "closed"


class ChildProcess:
    """A process that has opened the store, to be used in a `with` block.

    At the end of the block it closes the store, and serves the next `ChildProcess`. It is killed
    instead if the block failed, if it has died, or if it has not given its answer.
    """

    def __init__(self, subject: Subject, folder: Path, fault: Fault | None = None) -> None:
        self._arguments = (subject, folder, fault)

    def __enter__(self) -> "ChildProcess":
        self._server = take_server(serve)
        self._pipe = self._server.pipe
        try:
            self._pipe.send(self._arguments)
            answer = self.result()
            assert answer == _READY, f"another process could not open the store: {answer}"
        except BaseException:
            self._server.kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None and self._closes_its_store():
            give_back(self._server)
        else:
            self._server.kill()

    def _closes_its_store(self) -> bool:
        with suppress(*_DISCONNECTED):
            self._pipe.send(None)
            return bool(self.result() == _CLOSED)
        return False

    def begin(self, operation: Operation) -> None:
        """Start an operation; `result` waits for its result."""
        with suppress(*_DISCONNECTED):
            self._pipe.send(operation)

    def result(self, timeout_seconds: float = TIMEOUT_SECONDS) -> Any:
        """Return the operation's result as JSON; or `Died`; or `PAUSED`, if it pauses."""
        if not self._pipe.poll(timeout_seconds):
            raise AssertionError(f"another process gave no answer in {timeout_seconds} s")
        try:
            return self._pipe.recv()
        except _DISCONNECTED:
            return Died()

    def await_answer_or_block(self, seconds: float = BLOCKED_SECONDS) -> None:
        """Wait until the operation has a result, or long enough to see that it is blocked."""
        self._pipe.poll(seconds)

    def resume(self) -> None:
        """Let a paused operation go on."""
        with suppress(*_DISCONNECTED):
            self._pipe.send("resume")


# --- in the child process -------------------------------------------------------------------------


def serve(pipe: Connection) -> None:
    """Serve one `ChildProcess` of the parent after the other, until the parent is gone."""
    while (arguments := _receive(pipe)) is not None:
        try:
            asyncio.run(_serve(pipe, *arguments))
        except BaseException as error:
            with suppress(*_DISCONNECTED):
                pipe.send(repr(error))
            raise


async def _serve(pipe: Connection, subject: Subject, folder: Path, fault: Fault | None) -> None:
    clock = ManualClock()
    step = _step(pipe, fault)
    if step is None:
        backend = subject.make(folder, clock)
    else:
        assert subject.make_stepping is not None
        backend = subject.make_stepping(folder, clock, step)
    async with Store(backend) as store:
        pipe.send(_READY)
        while (operation := await asyncio.to_thread(_receive, pipe)) is not None:
            if step is not None:
                step.armed = True
            pipe.send(await result_or_error(operation(store)))
    with suppress(*_DISCONNECTED):
        pipe.send(_CLOSED)


def _receive(pipe: Connection) -> Any:
    """Return the next message, or None if the parent is gone."""
    try:
        return pipe.recv()
    except _DISCONNECTED:
        return None


def _step(pipe: Connection, fault: Fault | None) -> FaultAt | None:
    match fault:
        case None:
            return None
        case Fault(kind="die", at=at):
            return FaultAt(at, partial(os._exit, 9))
        case Fault(at=at):
            return FaultAt(at, partial(_pause, pipe))


def _pause(pipe: Connection) -> None:
    pipe.send(PAUSED)
    if _receive(pipe) is None:
        os._exit(1)
