"""`weft demo`: what it does, in order."""

import asyncio
import shutil
import tempfile
import time
from contextlib import aclosing
from importlib.resources import as_file, files
from pathlib import Path

import click
import msgspec

import weft
from weft.backends.postgres.location import without_password
from weft.cli.chat.lines import Bad, Good, read_lines
from weft.cli.demo.crew import Crew, Killed
from weft.cli.demo.proof import Proof, prove
from weft.cli.demo.report import Outcome, outcome_as_json, write_outcome
from weft.cli.demo.script import Script, write_script
from weft.cli.examples import ExampleCommand
from weft.cli.failure import Failure
from weft.cli.in_flight import each
from weft.cli.opening import named_store, store_option
from weft.cli.output import counted, json_option, write_json
from weft.cli.progress import progress
from weft.errors import WeftError
from weft.store.store import Store

LEASE_MS = 2_000
"""Short, so that the work of the killed process is taken over while one watches."""

_IN_FLIGHT = 32


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    scripts: tuple[Script, ...]
    script_file: Path
    processes: int
    think_ms: int


@click.command(
    "demo",
    cls=ExampleCommand,
    examples=(
        "weft demo",
        "weft demo --processes 5 --input conversations.jsonl",
        "weft demo --store ./demo-store --json | jq .totals",
        "weft demo --store 'postgresql://weft@db.example/agents?schema=demo'",
    ),
)
@store_option(meaning="An empty store to use, and to keep.  [default: a new folder]")
@click.option(
    "--input",
    "source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Conversations as `weft import` reads them, instead of those that come with Weft.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=3,
    show_default=True,
    help="So many worker processes.",
)
@click.option(
    "--think-ms",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="How long the scripted agent thinks about each turn.",
)
@click.option(
    "--keep/--no-keep",
    default=True,
    show_default=True,
    help="Keep the new store, and tell how to look at it; what --store names is always kept.",
)
@json_option
def demo(source: Path | None, processes: int, think_ms: int, keep: bool, as_json: bool) -> None:
    """See it at work: agents answer conversations, one is killed, and nothing is lost or doubled.

    Conversations are sent turn by turn to mailboxes; several processes answer, with one atomic
    step per turn; one of them is killed with SIGKILL in mid-step. The table at the end is computed
    from the store alone; if anything is missing or there twice, the exit status is 1. The store is
    a new folder, unless --store names one.

    --json: {"ok", "totals": {...}, "conversations": [...], "killed": {...}, "store", "seconds"}.
    """
    folder = Path(tempfile.mkdtemp(prefix="weft-demo-"))
    named = named_store()
    url = named or str(folder / "store")
    has_new_store = named is None
    try:
        plan, bad_lines = _prepare(source, folder, url, processes, think_ms)
        outcome = asyncio.run(_play(plan))
    except (click.ClickException, WeftError, KeyboardInterrupt):
        _remove(folder)
        raise
    if not has_new_store or not keep:
        _remove(folder)
    if as_json:
        write_json(outcome_as_json(outcome))
    else:
        write_outcome(outcome, is_kept=keep)
    _check(outcome.proof, bad_lines)


def _prepare(
    source: Path | None, folder: Path, url: str, processes: int, think_ms: int
) -> tuple[_Plan, int]:
    if not weft.open_store(url).capabilities.shared:
        raise Failure(
            f"the store {without_password(url)} is of one process; the demo needs one for several"
        )
    script_file = folder / "conversations.jsonl"
    with as_file(files("weft.cli.demo") / "conversations.jsonl") as shipped:
        shutil.copyfile(source or shipped, script_file)
    scripts, bad_lines = _read_scripts(script_file)
    if not scripts:
        raise Failure("there is no conversation to play; give a file that `weft import` reads")
    plan = _Plan(
        url=url,
        scripts=scripts,
        script_file=script_file,
        processes=processes,
        think_ms=think_ms,
    )
    return plan, bad_lines


def _read_scripts(path: Path) -> tuple[tuple[Script, ...], int]:
    scripts: list[Script] = []
    bad_lines = 0
    with path.open("rb") as lines:
        for line in read_lines(lines):
            if isinstance(line, Good):
                scripts.append(write_script(line.thread))
            elif isinstance(line, Bad):
                bad_lines += 1
                click.echo(f"line {line.number}: {line.reason}", err=True)
    return tuple(scripts), bad_lines


async def _play(plan: _Plan) -> Outcome:
    began = time.monotonic()
    async with weft.open_store(plan.url, migrate=True) as store:
        await _check_empty(store, plan.url)
        await send_first_turns(store, plan.scripts)
    killed = await _answer(plan)
    async with weft.open_store(plan.url) as store:
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

    async with aclosing(each(send, scripts, _IN_FLIGHT)) as sent:
        async for _ in sent:
            pass


async def _answer(plan: _Plan) -> Killed | None:
    turns = sum(len(script.turns) for script in plan.scripts)
    arguments = (str(plan.script_file), str(plan.think_ms), str(LEASE_MS))
    with progress("answering", turns, unit="turns") as bar:
        async with Crew(plan.url, arguments, bar) as crew:
            return await crew.play(plan.processes, turns)


def _check(proof: Proof, bad_lines: int) -> None:
    if not proof.holds:
        raise Failure("the proof failed: see the problems above")
    if bad_lines:
        raise Failure(f"{counted(bad_lines, 'line')} of the input could not be read")


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
