"""A worker process of the demo: `python -m treadle.cli.demo.process SCRIPTS THINK_MS LEASE_MS`.

The URL of the store is in `TREADLE_STORE`: it may have a password, and every user of the machine
can read the arguments of a process. The process writes a JSON line for each step that it holds or
has done. On its lifeline it obeys `hold` (report the next step before its commit, and wait) and
`go`.
"""

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Literal

import msgspec

import treadle
from treadle import MailboxEntry
from treadle.cli.demo.agent import ScriptedAgent
from treadle.cli.demo.script import Script, read_scripts
from treadle.cli.options import STORE_VARIABLE
from treadle.cli.processes.lifeline import watch_lifeline
from treadle.worker import Done, Event, Worker

CONCURRENCY = 4


class StepEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A line of output: a step is held before its commit, or done."""

    kind: Literal["held", "done"]
    entry_id: str
    mailbox_id: str


class Gate:
    """Lets steps commit, or holds them if the parent orders it."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()

    async def pass_through(self, entry: MailboxEntry) -> None:
        """Return at once, or report that this step is held, and wait."""
        if not self._open.is_set():
            write_event("held", entry)
            await self._open.wait()

    def obey(self, order: str) -> None:
        """Close the gate on `hold`, open it on `go`."""
        if order == "hold":
            self._open.clear()
        elif order == "go":
            self._open.set()


def write_event(kind: Literal["held", "done"], entry: MailboxEntry) -> None:
    """Report a step to the parent."""
    event = StepEvent(kind=kind, entry_id=entry.entry_id, mailbox_id=entry.mailbox_id)
    sys.stdout.write(msgspec.json.encode(event).decode() + "\n")
    sys.stdout.flush()


async def run(url: str, scripts: dict[str, Script], think_ms: int, lease_ms: int) -> None:
    """Work until no entry is left, or until the parent ends."""
    loop = asyncio.get_running_loop()
    gate = Gate()
    agent = ScriptedAgent(scripts, think_ms, gate.pass_through)
    async with treadle.open_store(url) as store:
        worker = Worker(
            store,
            agent,
            concurrency=CONCURRENCY,
            lease_ms=lease_ms,
            grace_ms=0,
            on_event=_write_done,
        )
        watch_lifeline(
            lambda order: _call_soon(loop, gate, order),
            worker.stop,
        )
        await worker.run(until_idle=True, handle_signals=True)


def _call_soon(loop: asyncio.AbstractEventLoop, gate: Gate, order: str) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(gate.obey, order)


def _write_done(event: Event) -> None:
    if isinstance(event, Done):
        write_event("done", event.entry)


def main() -> None:
    """Run with the arguments of the process."""
    url = os.environ[STORE_VARIABLE]
    path, think_ms, lease_ms = sys.argv[1:]
    logging.getLogger("treadle").addHandler(
        logging.NullHandler()
    )  # the demo loses leases on purpose
    scripts = {
        script.thread_id: script
        for script in read_scripts(Path(path))
        if isinstance(script, Script)
    }
    asyncio.run(run(url, scripts, int(think_ms), int(lease_ms)))


if __name__ == "__main__":
    main()
