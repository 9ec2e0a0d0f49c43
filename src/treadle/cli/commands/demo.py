"""`treadle demo`: several processes answer conversations, one is killed, and a proof."""

import asyncio
import shutil
import tempfile
from importlib.resources import as_file, files
from pathlib import Path

import click

from treadle.cli.demo.play import Plan, play
from treadle.cli.demo.report import outcome_as_json, write_outcome
from treadle.cli.demo.script import Script, read_scripts
from treadle.cli.json_lines import Bad
from treadle.cli.opening import check_possible
from treadle.cli.options import json_option, named_store, store_option
from treadle.cli.terminal.counts import counted
from treadle.cli.terminal.failure import Failure
from treadle.cli.terminal.help import ExampleCommand
from treadle.cli.terminal.output import write_json


@click.command(
    "demo",
    cls=ExampleCommand,
    examples=(
        "treadle demo",
        "treadle demo --processes 5 --input conversations.jsonl",
        "treadle demo --store ./demo-store --json | jq .totals",
        "treadle demo --store 'postgresql://treadle@db.example/agents?schema=demo'",
    ),
)
@store_option(meaning="An empty store to use, and to keep.  [default: a new folder]")
@click.option(
    "--input",
    "source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Conversations as `treadle import` reads them, instead of those that come with Treadle.",
)
@click.option(
    "--processes",
    metavar="N",
    type=click.IntRange(1, 64),
    default=3,
    show_default=True,
    help="Worker processes.",
)
@click.option(
    "--think-ms",
    metavar="N",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Milliseconds that the scripted agent thinks about each turn.",
)
@click.option(
    "--keep/--no-keep",
    default=True,
    show_default=True,
    help="Keep the new store, and tell how to look at it; what --store names is always kept.",
)
@json_option
def demo(source: Path | None, processes: int, think_ms: int, keep: bool, as_json: bool) -> None:
    """See it at work: a worker is killed, and nothing is lost.

    Conversations are sent turn by turn to mailboxes; several processes answer, with one atomic
    step per turn; one of them is killed with SIGKILL in mid-step. The table at the end is computed
    from the store alone; if anything is missing or there twice, the exit status is 1. The store is
    a new folder, unless --store names one.

    --json: {"ok", "totals": {...}, "conversations": [...], "killed": {...}, "store", "seconds"}.
    """
    named = named_store()
    if named is not None:
        check_possible(named)
    folder = Path(tempfile.mkdtemp(prefix="treadle-demo-"))
    is_kept = False
    try:
        script_file = _place_scripts(source, folder)
        scripts, bad_lines = _read_scripts(script_file)
        plan = Plan(
            url=named or str(folder / "store"),
            scripts=scripts,
            script_file=script_file,
            processes=processes,
            think_ms=think_ms,
        )
        outcome = asyncio.run(play(plan))
        is_kept = keep and named is None
    finally:
        if not is_kept:
            shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        write_json(outcome_as_json(outcome))
    else:
        write_outcome(outcome, tells_where=keep)
    if not outcome.proof.holds:
        raise Failure("the proof failed: see the problems above")
    if bad_lines:
        raise Failure(f"{counted(bad_lines, 'line')} of the input could not be read")


def _place_scripts(source: Path | None, folder: Path) -> Path:
    """A copy of the conversations that all processes read, whatever becomes of the original."""
    script_file = folder / "conversations.jsonl"
    with as_file(files("treadle.cli.demo") / "conversations.jsonl") as shipped:
        shutil.copyfile(source or shipped, script_file)
    return script_file


def _read_scripts(path: Path) -> tuple[tuple[Script, ...], int]:
    scripts: list[Script] = []
    bad_lines = 0
    for read in read_scripts(path):
        if isinstance(read, Bad):
            bad_lines += 1
            click.echo(f"line {read.number}: {read.reason}", err=True)
        else:
            scripts.append(read)
    if not scripts:
        raise Failure("there is no conversation to play; give a file that `treadle import` reads")
    return tuple(scripts), bad_lines
