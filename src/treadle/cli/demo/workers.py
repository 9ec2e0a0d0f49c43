"""The worker processes of the demo, one of which is killed in the middle of a step."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from types import TracebackType
from typing import TypeAlias, cast

import msgspec

from treadle.cli.demo.process import StepEvent
from treadle.cli.options import STORE_VARIABLE
from treadle.cli.processes.supervisor import describe_exit, end_process, kill_process
from treadle.cli.terminal.progress import Progress

_GRACE_S = 3.0


class Killed(msgspec.Struct, frozen=True, kw_only=True):
    """The process that was killed, and the entry that it was working."""

    process: int
    pid: int
    entry_id: str
    mailbox_id: str


class _Worker(msgspec.Struct, frozen=True, eq=False):
    number: int
    process: Process


class _Reported(msgspec.Struct, frozen=True):
    worker: _Worker
    step: StepEvent


class _Ended(msgspec.Struct, frozen=True):
    worker: _Worker
    code: int


_Event: TypeAlias = _Reported | _Ended


class Workers:
    """Processes that work one store; leaving the block ends those that still run."""

    def __init__(self, url: str, arguments: Sequence[str], bar: Progress) -> None:
        self._environment = {**os.environ, STORE_VARIABLE: url}
        self._command = [sys.executable, "-m", "treadle.cli.demo.process", *arguments]
        self._bar = bar
        self._workers: list[_Worker] = []
        self._events: asyncio.Queue[_Event] = asyncio.Queue()
        self._watchers: list[asyncio.Task[None]] = []
        self._running = 0

    async def __aenter__(self) -> "Workers":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            ending = (end_process(worker.process, _GRACE_S) for worker in self._workers)
            await asyncio.gather(*ending)
            await asyncio.gather(*self._watchers)
        finally:
            for worker in self._workers:
                kill_process(worker.process)

    async def play(self, processes: int, turns: int) -> Killed | None:
        """Run so many processes until no entry is left; kill one after a third of the turns.

        The first process that holds a step, claimed and not committed, is killed with SIGKILL, and
        another one replaces it.
        """
        killed: Killed | None = None
        done = 0
        for _ in range(processes):
            await self._start()
        if turns < 3:
            self._order("hold")
        async with aclosing(self._listen()) as events:
            async for event in events:
                if isinstance(event, _Ended):
                    self._note_end(event, killed)
                elif event.step.kind == "done":
                    self._bar.advance(1)
                    done += 1
                    if done == turns // 3:
                        self._order("hold")
                elif killed is None:
                    killed = self._kill(event)
                    await self._start()
                    self._order("go")
        return killed

    async def _start(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=PIPE,
            stdout=PIPE,
            start_new_session=True,
            env=self._environment,
        )
        worker = _Worker(len(self._workers) + 1, process)
        self._workers.append(worker)
        self._running += 1
        self._watchers.append(asyncio.create_task(self._watch(worker)))

    async def _watch(self, worker: _Worker) -> None:
        stdout = cast("asyncio.StreamReader", worker.process.stdout)
        async for line in stdout:
            step = msgspec.json.decode(line, type=StepEvent)
            self._events.put_nowait(_Reported(worker, step))
        self._events.put_nowait(_Ended(worker, await worker.process.wait()))

    async def _listen(self) -> AsyncGenerator[_Event]:
        while self._running:
            event = await self._events.get()
            if isinstance(event, _Ended):
                self._running -= 1
            yield event

    def _order(self, order: str) -> None:
        for worker in self._workers:
            if worker.process.stdin is not None and worker.process.returncode is None:
                with suppress(OSError, RuntimeError):
                    worker.process.stdin.write(f"{order}\n".encode())

    def _kill(self, event: _Reported) -> Killed:
        worker, step = event.worker, event.step
        kill_process(worker.process)
        self._bar.note(
            f"killed worker {worker.number} (pid {worker.process.pid}) with SIGKILL in the middle "
            f"of a step of {step.mailbox_id}; once its lease expires, another worker takes over"
        )
        return Killed(
            process=worker.number,
            pid=worker.process.pid,
            entry_id=step.entry_id,
            mailbox_id=step.mailbox_id,
        )

    def _note_end(self, event: _Ended, killed: Killed | None) -> None:
        was_killed = killed is not None and killed.process == event.worker.number
        if event.code and not was_killed:
            self._bar.note(f"worker {event.worker.number} {describe_exit(event.code)}")
