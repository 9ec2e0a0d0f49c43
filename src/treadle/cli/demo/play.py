"""The demo: send the first turns, let workers answer, kill one of them, and check the store."""

import time
from contextlib import aclosing
from pathlib import Path

import msgspec

import treadle
from treadle import Store
from treadle.backends.urls import without_password
from treadle.cli.concurrency import map_in_order
from treadle.cli.demo.proof import Proof, prove
from treadle.cli.demo.script import Script
from treadle.cli.demo.workers import Killed, Workers
from treadle.cli.terminal.failure import Failure
from treadle.cli.terminal.progress import progress

LEASE_MS = 2_000
"""Short, so that users see how another worker takes over from the killed one."""

_CONCURRENCY = 32


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of a demo."""

    url: str
    scripts: tuple[Script, ...]
    script_file: Path
    processes: int
    think_ms: int


class DemoResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a demo."""

    proof: Proof
    killed: Killed | None
    url: str
    seconds: float


async def play(plan: Plan) -> DemoResult:
    """Run the demo in the plan's store, which must be empty.

    Raises:
        Failure: the store is not empty.
    """
    began = time.monotonic()
    async with treadle.open_store(plan.url, migrate=True) as store:
        await _check_empty(store, plan.url)
        await send_first_turns(store, plan.scripts)
    killed = await _answer(plan)
    async with treadle.open_store(plan.url) as store:
        proof = await prove(store, plan.scripts)
    seconds = time.monotonic() - began
    return DemoResult(proof=proof, killed=killed, url=plan.url, seconds=round(seconds, 2))


async def _check_empty(store: Store, url: str) -> None:
    # The workers would claim any entry, even those of other programs.
    pages = (
        await store.threads.list(limit=1),
        await store.runs.list(limit=1),
        await store.mailboxes.list_entries(limit=1),
    )
    if any(page.total for page in pages):
        raise Failure(
            f"the store {without_password(url)} is not empty; name a new one, or omit --store"
        )


async def send_first_turns(store: Store, scripts: tuple[Script, ...]) -> None:
    """Send the first turn of each conversation to its mailbox."""

    async def send(script: Script) -> None:
        async with store.batch() as step:
            step.threads.create(script.opening)
            for turn in script.turns[:1]:
                step.mailboxes.send(script.thread_id, turn.payload, dedupe_key="turn-1")

    async with aclosing(map_in_order(send, scripts, _CONCURRENCY)) as sent:
        async for _ in sent:
            pass


async def _answer(plan: Plan) -> Killed | None:
    turns = sum(len(script.turns) for script in plan.scripts)
    arguments = (str(plan.script_file), str(plan.think_ms), str(LEASE_MS))
    with progress("answering", turns, unit="turns") as bar:
        async with Workers(plan.url, arguments, bar) as workers:
            return await workers.play(plan.processes, turns)
