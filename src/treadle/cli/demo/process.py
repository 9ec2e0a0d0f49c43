"""A worker process of the demo: `python -m treadle.cli.demo.process SCRIPTS THINK_MS LEASE_MS`.

The store is that of `TREADLE_STORE`, as everybody can read a command. The process writes a JSON
line for each thing that happens, and obeys `hold` (stop in mid-step, and say so) and `go` on its
lifeline.
"""

import asyncio
import logging
import os
import sys
from pathlib import Path

import msgspec

import treadle
from treadle.cli.demo.agent import ScriptedAgent
from treadle.cli.demo.script import Script, read_scripts
from treadle.cli.options import STORE_VARIABLE
from treadle.cli.processes.lifeline import watch_lifeline
from treadle.core.mailboxes import MailboxEntry
from treadle.worker import Done, Event, Worker

CONCURRENCY = 4


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One line: an entry is held in mid-step, or done."""

    kind: str
    entry_id: str
    mailbox_id: str


class Gate:
    """Where steps pass before they commit, unless the parent wants one held."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()

    async def pass_through(self, entry: MailboxEntry) -> None:
        """Pass, or tell that this step is held, and wait."""
        if not self._open.is_set():
            tell("held", entry)
            await self._open.wait()

    def obey(self, order: str) -> None:
        """`hold` shuts the gate, `go` opens it."""
        if order == "hold":
            self._open.clear()
        elif order == "go":
            self._open.set()


def tell(kind: str, entry: MailboxEntry) -> None:
    """Report to the parent."""
    report = Report(kind=kind, entry_id=entry.entry_id, mailbox_id=entry.mailbox_id)
    sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    sys.stdout.flush()


async def run(url: str, scripts: dict[str, Script], think_ms: int, lease_ms: int) -> None:
    """Work until nothing is left to do, or the parent is gone."""
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
            on_event=_tell_done,
        )
        watch_lifeline(
            lambda order: _call_soon(loop, gate, order),
            worker.stop,
        )
        await worker.run(until_idle=True, handle_signals=True)


def _call_soon(loop: asyncio.AbstractEventLoop, gate: Gate, order: str) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(gate.obey, order)


def _tell_done(event: Event) -> None:
    if isinstance(event, Done):
        tell("done", event.entry)


def main() -> None:
    """Run with the process's arguments."""
    url = os.environ[STORE_VARIABLE]
    path, think_ms, lease_ms = sys.argv[1:]
    logging.getLogger("treadle").addHandler(logging.NullHandler())  # lost leases belong to the show
    scripts = {
        script.thread_id: script
        for script in read_scripts(Path(path))
        if isinstance(script, Script)
    }
    asyncio.run(run(url, scripts, int(think_ms), int(lease_ms)))


if __name__ == "__main__":
    main()
