"""A child process with a handle on the store: it runs operations, and may die or pause in one."""

import asyncio
import multiprocessing
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeAlias

import msgspec

from treadle import Store
from treadle.testing._harness.call_results import result_or_error
from treadle.testing._harness.faults import FaultAt
from treadle.testing._harness.timeouts import TIMEOUT_SECONDS
from treadle.testing.clock import ManualClock
from treadle.testing.subject import Subject

Operation: TypeAlias = Callable[[Store], Awaitable[Any]]
"""Something to do with a store; a function that a child process can import."""

BLOCKED_SECONDS = 0.03
"""How long an operation may take to answer before it counts as blocked by another process."""

_DISCONNECTED = (EOFError, BrokenPipeError, ConnectionResetError)
"""The errors of a pipe when the process at its other end is gone."""

_CONTEXT: Any = multiprocessing.get_context(
    "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
)


_PRELOADED = [
    "__main__",
    "treadle.testing._harness.child_process",
    "treadle.testing._harness.writer_processes",
    "treadle.testing.conformance",  # has the operations
    "treadle.backends.postgres.backend",  # skipped where psycopg is missing
]


def start_process(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Start a process that shares nothing with this one; quickly, where there is `fork`."""
    _CONTEXT.set_forkserver_preload(_PRELOADED)
    process: BaseProcess = _CONTEXT.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


class Fault(msgspec.Struct, frozen=True):
    """What happens to a child process before the `at`-th step of its operation, counted from 1."""

    kind: Literal["die", "pause"]
    at: int


class Died(msgspec.Struct, frozen=True):
    """The child process died before it could answer."""


PAUSED = "paused"
"""The answer of a child process that pauses in the middle of its operation."""


class ChildProcess:
    """A process that has opened the store; a `with` block ends it."""

    def __init__(self, subject: Subject, folder: Path, fault: Fault | None = None) -> None:
        self._arguments = (subject, folder, fault)

    def __enter__(self) -> "ChildProcess":
        self._pipe, theirs = _CONTEXT.Pipe()
        self._process = start_process(_run, theirs, *self._arguments)
        theirs.close()
        try:
            answer = self.result()
            assert answer == "ready", f"another process could not open the store: {answer}"
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()

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

    def await_answer_or_block(self, seconds: float | None = None) -> None:
        """Wait until the operation has a result, or long enough to see that it is blocked."""
        self._pipe.poll(BLOCKED_SECONDS if seconds is None else seconds)

    def resume(self) -> None:
        """Let a paused operation go on."""
        with suppress(*_DISCONNECTED):
            self._pipe.send("resume")


# --- in the child process -------------------------------------------------------------------------


def _run(pipe: Connection, subject: Subject, folder: Path, fault: Fault | None) -> None:
    try:
        asyncio.run(_serve(pipe, subject, folder, fault))
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
        pipe.send("ready")
        while (operation := await asyncio.to_thread(_receive, pipe)) is not None:
            if step is not None:
                step.armed = True
            pipe.send(await result_or_error(operation(store)))


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
