"""Several processes of one command: started, restarted when they die, and stopped together."""

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
# A process that dies more often than this within the window is not started again.
_MAX_DEATHS = 5
_WINDOW_S = 60.0

_LAST_WRITES_S = 5.0
"""How long a process may take to stop after the grace time of its worker."""


class Supervisor:
    """Keeps processes of one command running until it is stopped, or until they are done.

    Args:
        command: the arguments of each process.
        until_idle: do not restart a process that ends with status 0.
        grace_s: how long the worker of a process may go on once it is to stop, in seconds.
        note: called with a line of text when a process starts or ends.
        environment: more environment variables. A secret belongs here: every user of the machine
            can read the arguments of a process.
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
        self._stop_timeout_s = grace_s + _LAST_WRITES_S
        self._note = note
        self._stopping = asyncio.Event()
        self._has_given_up = False

    async def run(self, processes: int) -> bool:
        """Run so many processes until SIGTERM or SIGINT; return False if one died too often."""
        loop = asyncio.get_running_loop()

        def stop() -> None:
            loop.call_soon_threadsafe(self._stopping.set)

        with stop_on_signals(stop):
            async with asyncio.TaskGroup() as group:
                for number in range(1, processes + 1):
                    group.create_task(self._keep_running(number))
        return not self._has_given_up

    async def _keep_running(self, number: int) -> None:
        deaths: deque[float] = deque()
        while not self._stopping.is_set():
            code = await self._run_one(number)
            if self._stopping.is_set() or (self._until_idle and code == 0):
                return
            await self._wait_to_restart(number, code, deaths)

    async def _run_one(self, number: int) -> int:
        # In a process group of its own, so that Ctrl-C reaches it once: through this process.
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, start_new_session=True, env=self._environment
        )
        self._note(f"process {number} is {process.pid}")
        ended = asyncio.ensure_future(process.wait())
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
            await end_process(process, self._stop_timeout_s)
            return await ended
        finally:
            stopping.cancel()
            if not ended.done():
                kill_process(process)

    async def _wait_to_restart(self, number: int, code: int, deaths: deque[float]) -> None:
        now = time.monotonic()
        deaths.append(now)
        while deaths[0] < now - _WINDOW_S:
            deaths.popleft()
        how = describe_exit(code)
        if len(deaths) > _MAX_DEATHS:
            self._note(f"process {number} {how} again, {len(deaths)} times in a minute; giving up")
            self._has_given_up = True
            self._stopping.set()
            return
        pause_s = _BACKOFF.ceiling_ms(len(deaths)) / 1000
        self._note(f"process {number} {how}; it is started again in {pause_s:g} s")
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._stopping.wait()


def describe_exit(code: int) -> str:
    """Return a phrase for how a process ended."""
    return f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"


async def end_process(process: Process, grace_s: float) -> None:
    """Ask a process to stop by closing its lifeline; kill it if it takes too long."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(grace_s):  # `wait_for` may lose a cancellation
            await process.wait()
    except TimeoutError:
        kill_process(process)
        await process.wait()


def kill_process(process: Process) -> None:
    """Kill a process (SIGKILL), if it has not ended."""
    with suppress(ProcessLookupError):
        process.kill()
