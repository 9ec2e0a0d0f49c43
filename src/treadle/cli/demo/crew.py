"""The demo's worker processes: started, watched through pipes, one of them killed in mid-step."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from types import TracebackType
from typing import TypeAlias, cast

import msgspec

from treadle.cli.demo.process import Report
from treadle.cli.options import STORE_VARIABLE
from treadle.cli.processes.supervisor import describe_exit, end_process, kill_process
from treadle.cli.terminal.progress import Progress

_GRACE_S = 3.0


class Killed(msgspec.Struct, frozen=True, kw_only=True):
    """Which process was killed, and the entry it was in the middle of."""

    process: int
    pid: int
    entry_id: str
    mailbox_id: str


class _Member(msgspec.Struct, frozen=True, eq=False):
    number: int
    process: Process


class _Said(msgspec.Struct, frozen=True):
    member: _Member
    report: Report


class _Ended(msgspec.Struct, frozen=True):
    member: _Member
    code: int


_Event: TypeAlias = _Said | _Ended


class Crew:
    """Processes that work one store; leaving the block ends those that are left."""

    def __init__(self, url: str, arguments: Sequence[str], bar: Progress) -> None:
        self._environment = {**os.environ, STORE_VARIABLE: url}
        self._command = [sys.executable, "-m", "treadle.cli.demo.process", *arguments]
        self._bar = bar
        self._members: list[_Member] = []
        self._events: asyncio.Queue[_Event] = asyncio.Queue()
        self._watchers: list[asyncio.Task[None]] = []
        self._running = 0

    async def __aenter__(self) -> "Crew":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            ending = (end_process(member.process, _GRACE_S) for member in self._members)
            await asyncio.gather(*ending)
            await asyncio.gather(*self._watchers)
        finally:
            for member in self._members:
                kill_process(member.process)

    async def play(self, processes: int, turns: int) -> Killed | None:
        """Run so many processes until nothing is left to do; kill one after a third of the turns.

        The first that tells that it holds a step, claimed and not committed, is killed with
        SIGKILL, and another starts in its place.
        """
        killed: Killed | None = None
        done = 0
        for _ in range(processes):
            await self._hire()
        if turns < 3:
            self._order("hold")
        async with aclosing(self._listen()) as events:
            async for event in events:
                if isinstance(event, _Ended):
                    self._note_end(event, killed)
                elif event.report.kind == "done":
                    self._bar.advance(1)
                    done += 1
                    if done == turns // 3:
                        self._order("hold")
                elif killed is None:
                    killed = self._kill(event)
                    await self._hire()
                    self._order("go")
        return killed

    async def _hire(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=PIPE,
            stdout=PIPE,
            start_new_session=True,
            env=self._environment,
        )
        member = _Member(len(self._members) + 1, process)
        self._members.append(member)
        self._running += 1
        self._watchers.append(asyncio.create_task(self._watch(member)))

    async def _watch(self, member: _Member) -> None:
        stdout = cast("asyncio.StreamReader", member.process.stdout)
        async for line in stdout:
            report = msgspec.json.decode(line, type=Report)
            self._events.put_nowait(_Said(member, report))
        self._events.put_nowait(_Ended(member, await member.process.wait()))

    async def _listen(self) -> AsyncGenerator[_Event]:
        while self._running:
            event = await self._events.get()
            if isinstance(event, _Ended):
                self._running -= 1
            yield event

    def _order(self, order: str) -> None:
        for member in self._members:
            if member.process.stdin is not None and member.process.returncode is None:
                with suppress(OSError, RuntimeError):
                    member.process.stdin.write(f"{order}\n".encode())

    def _kill(self, event: _Said) -> Killed:
        member, report = event.member, event.report
        kill_process(member.process)
        self._bar.note(
            f"killed worker {member.number} (pid {member.process.pid}) with SIGKILL in the middle "
            f"of a step of {report.mailbox_id}; its lease runs out, then another takes over"
        )
        return Killed(
            process=member.number,
            pid=member.process.pid,
            entry_id=report.entry_id,
            mailbox_id=report.mailbox_id,
        )

    def _note_end(self, event: _Ended, killed: Killed | None) -> None:
        is_victim = killed is not None and killed.process == event.member.number
        if event.code and not is_victim:
            self._bar.note(f"worker {event.member.number} {describe_exit(event.code)}")
