"""The play: first turns are sent, workers answer, one of them is killed, the store is judged."""

import time
from contextlib import aclosing
from pathlib import Path

import msgspec

import treadle
from treadle.backends.urls import without_password
from treadle.cli.concurrency import map_in_order
from treadle.cli.demo.crew import Crew, Killed
from treadle.cli.demo.proof import Proof, prove
from treadle.cli.demo.script import Script
from treadle.cli.terminal.failure import Failure
from treadle.cli.terminal.progress import progress
from treadle.store.store import Store

LEASE_MS = 2_000
"""Short, so that the work of the killed process is taken over while one watches."""

_CONCURRENCY = 32


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is played, where, and by how many."""

    url: str
    scripts: tuple[Script, ...]
    script_file: Path
    processes: int
    think_ms: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a demo went."""

    proof: Proof
    killed: Killed | None
    url: str
    seconds: float


async def play(plan: Plan) -> Outcome:
    """Play it in the plan's store, which must be empty.

    Raises:
        Failure: it is not.
    """
    began = time.monotonic()
    async with treadle.open_store(plan.url, migrate=True) as store:
        await _check_empty(store, plan.url)
        await send_first_turns(store, plan.scripts)
    killed = await _answer(plan)
    async with treadle.open_store(plan.url) as store:
        proof = await prove(store, plan.scripts)
    seconds = time.monotonic() - began
    return Outcome(proof=proof, killed=killed, url=plan.url, seconds=round(seconds, 2))


async def _check_empty(store: Store, url: str) -> None:
    """The workers take whatever waits, so other people's work must not be there."""
    pages = (
        await store.threads.list(limit=1),
        await store.runs.list(limit=1),
        await store.mailboxes.list(limit=1),
    )
    if any(page.total for page in pages):
        raise Failure(
            f"the store {without_password(url)} is not empty; name a new one, or leave --store out"
        )


async def send_first_turns(store: Store, scripts: tuple[Script, ...]) -> None:
    """Put the first turn of each conversation into its mailbox."""

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
        async with Crew(plan.url, arguments, bar) as crew:
            return await crew.play(plan.processes, turns)
