"""Several processes of the same command: started, started again when they die, stopped together."""

import asyncio
import os
import time
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from treadle.worker.backoff import Backoff
from treadle.worker.signals import stop_on_signals

_BACKOFF = Backoff(base_ms=100, factor=2.0, max_ms=10_000)
_DEATHS = 5
_WINDOW_S = 60.0
"""A process that dies more than `_DEATHS` times within `_WINDOW_S` seconds is not started again."""

_LAST_WRITES_S = 5.0
"""How much longer than its worker's grace time a process may take to stop."""


class Supervisor:
    """Keeps processes of one command running until stopped, or until they are done.

    What others must not see is in their `environment`: a command can be read by everybody.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        until_idle: bool,
        grace_s: float,
        note: Callable[[str], None],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = command
        self._environment = {**os.environ, **(environment or {})}
        self._until_idle = until_idle
        self._patience_s = grace_s + _LAST_WRITES_S
        self._note = note
        self._stopping = asyncio.Event()
        self._has_given_up = False

    async def run(self, processes: int) -> bool:
        """Run so many, until SIGTERM or SIGINT; False if one died too often.

        They stand in process groups of their own, so that Ctrl-C reaches them once, through us.
        """
        loop = asyncio.get_running_loop()

        def stop() -> None:
            loop.call_soon_threadsafe(self._stopping.set)

        with stop_on_signals(stop):
            async with asyncio.TaskGroup() as group:
                for number in range(1, processes + 1):
                    group.create_task(self._keep(number))
        return not self._has_given_up

    async def _keep(self, number: int) -> None:
        deaths: deque[float] = deque()
        while not self._stopping.is_set():
            code = await self._run_one(number)
            if self._stopping.is_set() or (self._until_idle and code == 0):
                return
            await self._mourn(number, code, deaths)

    async def _run_one(self, number: int) -> int:
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, start_new_session=True, env=self._environment
        )
        self._note(f"process {number} is {process.pid}")
        ended = asyncio.ensure_future(process.wait())
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
            await end_process(process, self._patience_s)
            return await ended
        finally:
            stopping.cancel()
            if not ended.done():
                kill_process(process)

    async def _mourn(self, number: int, code: int, deaths: deque[float]) -> None:
        now = time.monotonic()
        deaths.append(now)
        while deaths[0] < now - _WINDOW_S:
            deaths.popleft()
        how = describe_exit(code)
        if len(deaths) > _DEATHS:
            self._note(f"process {number} {how} again, {len(deaths)} times in a minute; giving up")
            self._has_given_up = True
            self._stopping.set()
            return
        pause_s = _BACKOFF.ceiling_ms(len(deaths)) / 1000
        self._note(f"process {number} {how}; it is started again in {pause_s:g} s")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), pause_s)


def describe_exit(code: int) -> str:
    """How a process ended, in words."""
    return f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"


async def end_process(process: Process, grace_s: float) -> None:
    """Ask a process to stop by closing its lifeline; kill it when it takes too long."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), grace_s)
    except TimeoutError:
        kill_process(process)
        await process.wait()


def kill_process(process: Process) -> None:
    """End a process at once (SIGKILL), if it has not ended."""
    with suppress(ProcessLookupError):
        process.kill()
