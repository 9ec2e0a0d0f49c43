"""Another process with a handle on the store, which does what it is told, and may be stopped."""

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
from treadle.testing.clock import ManualClock
from treadle.testing.faults import FaultAt
from treadle.testing.outcome import outcome
from treadle.testing.patience import PATIENCE_SECONDS
from treadle.testing.subject import Subject

Act: TypeAlias = Callable[[Store], Awaitable[Any]]
"""Something to be done with a store; a function that another process can import."""

SETTLE_SECONDS = 0.03
"""How long one that answers at once may take to; who waits for another needs all of it."""

_GONE = (EOFError, BrokenPipeError, ConnectionResetError)
"""What a pipe says when the process at its other end has ended."""

_CONTEXT: Any = multiprocessing.get_context(
    "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
)


_PRELOADED = [
    "__main__",
    "treadle.testing.actor",
    "treadle.testing.writers",
    "treadle.testing.conformance",  # where what an actor is told to do is found
    "treadle.backends.postgres.backend",  # passed over where psycopg is missing
]


def start_process(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Start a process that shares nothing with this one; quickly, where there is `fork`."""
    _CONTEXT.set_forkserver_preload(_PRELOADED)
    process: BaseProcess = _CONTEXT.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


class Fault(msgspec.Struct, frozen=True):
    """What happens to an actor before the `at`-th step of its act, counted from 1."""

    kind: Literal["die", "stand"]
    at: int


class Dead(msgspec.Struct, frozen=True):
    """The actor's process died before it could answer."""


class Actor:
    """A process that has opened the store; to be used in a `with` block, which ends it."""

    def __init__(self, subject: Subject, place: Path, fault: Fault | None = None) -> None:
        self._given = (subject, place, fault)

    def __enter__(self) -> "Actor":
        self._pipe, theirs = _CONTEXT.Pipe()
        self._process = start_process(_live, theirs, *self._given)
        theirs.close()
        try:
            told = self.result()
            assert told == "ready", f"another process could not open the store: {told}"
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

    def begin(self, act: Act) -> None:
        """Let it act; `result` tells what came of it."""
        with suppress(*_GONE):
            self._pipe.send(act)

    def result(self, patience_seconds: float = PATIENCE_SECONDS) -> Any:
        """What came of the act, as JSON; or `Dead`, or "standing" if it stands still in it."""
        if not self._pipe.poll(patience_seconds):
            raise AssertionError(f"another process gave no answer in {patience_seconds} s")
        try:
            return self._pipe.recv()
        except _GONE:
            return Dead()

    def settle(self, seconds: float | None = None) -> None:
        """Give it the time to answer, or to run into what another one holds."""
        self._pipe.poll(SETTLE_SECONDS if seconds is None else seconds)

    def go_on(self) -> None:
        """Let one that stands still go on."""
        with suppress(*_GONE):
            self._pipe.send("go on")


# --- in the process -------------------------------------------------------------------------------


def _live(pipe: Connection, subject: Subject, place: Path, fault: Fault | None) -> None:
    try:
        asyncio.run(_act(pipe, subject, place, fault))
    except BaseException as error:
        with suppress(*_GONE):
            pipe.send(repr(error))
        raise


async def _act(pipe: Connection, subject: Subject, place: Path, fault: Fault | None) -> None:
    clock = ManualClock()
    step = _step(pipe, fault)
    if step is None:
        backend = subject.make(place, clock)
    else:
        assert subject.make_stepping is not None
        backend = subject.make_stepping(place, clock, step)
    async with Store(backend) as store:
        pipe.send("ready")
        while (act := await asyncio.to_thread(_hear, pipe)) is not None:
            if step is not None:
                step.armed = True
            pipe.send(await outcome(act(store)))


def _hear(pipe: Connection) -> Any:
    """What comes next; None if nobody is there any more."""
    try:
        return pipe.recv()
    except _GONE:
        return None


def _step(pipe: Connection, fault: Fault | None) -> FaultAt | None:
    match fault:
        case None:
            return None
        case Fault(kind="die", at=at):
            return FaultAt(at, partial(os._exit, 9))
        case Fault(at=at):
            return FaultAt(at, partial(_stand, pipe))


def _stand(pipe: Connection) -> None:
    pipe.send("standing")
    if _hear(pipe) is None:
        os._exit(1)
