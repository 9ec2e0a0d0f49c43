"""`treadle demo`: several processes answer conversations, one is killed, and nothing is lost."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from importlib.resources import files
from pathlib import Path
from typing import Any

import click

from treadle.cli.demo.play import DemoResult, Plan, play
from treadle.cli.demo.report import result_as_json, write_result
from treadle.cli.demo.script import Script, read_scripts
from treadle.cli.json_lines import Bad
from treadle.cli.opening import check_possible
from treadle.cli.options import json_option, named_store, store_option
from treadle.cli.terminal.counts import counted
from treadle.cli.terminal.failure import Failure
from treadle.cli.terminal.help import ExampleCommand
from treadle.cli.terminal.notes import write_note
from treadle.cli.terminal.output import write_json


@click.command(
    "demo",
    cls=ExampleCommand,
    examples=(
        "treadle demo",
        "treadle demo --serve",
        "treadle demo --processes 5 --input conversations.jsonl",
        "treadle demo --store ./demo-store --json | jq .totals",
        "treadle demo --store 'postgresql://treadle@db.example/agents?schema=demo'",
    ),
)
@store_option(meaning="An empty store, which is kept.  [default: a new folder]")
@click.option(
    "--input",
    "source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Conversations in the format of `treadle import`, instead of those in the package.",
)
@click.option(
    "--processes",
    metavar="N",
    type=click.IntRange(1, 64),
    default=3,
    show_default=True,
    help="How many worker processes.",
)
@click.option(
    "--think-ms",
    metavar="N",
    type=click.IntRange(min=0),
    help="How long the scripted agent thinks about each turn, in milliseconds.  "
    "[default: 20, with --serve 3000]",
)
@click.option(
    "--keep/--no-keep",
    default=True,
    show_default=True,
    help="Keep the new folder, and print commands to look at it.",
)
@click.option(
    "--serve", "with_dashboard", is_flag=True, help="Show it in the dashboard, until Ctrl-C."
)
@json_option
def demo(
    source: Path | None,
    processes: int,
    think_ms: int | None,
    keep: bool,
    with_dashboard: bool,
    as_json: bool,
) -> None:
    """See it at work: a worker is killed, and nothing is lost.

    Conversations are sent to mailboxes, turn by turn. Several processes answer them, with one
    atomic step per turn; one process is killed with SIGKILL in the middle of a step. The table at
    the end is computed from the store alone. If anything is missing or duplicated, the exit status
    is 1. With --serve you watch them answer in a browser.

    --json: {"ok", "totals": {...}, "conversations": [...], "killed": {...}, "store", "seconds"}.
    """
    named = named_store()
    if named is not None:
        check_possible(named)
    folder = Path(tempfile.mkdtemp(prefix="treadle-demo-"))
    is_kept = False
    try:
        script_file = _copy_scripts(source, folder)
        scripts, bad_lines = _read_scripts(script_file)
        plan = Plan(
            url=named or str(folder / "store"),
            scripts=scripts,
            script_file=script_file,
            processes=processes,
            think_ms=(3_000 if with_dashboard else 20) if think_ms is None else think_ms,
        )

        async def play_and_report() -> DemoResult:
            result = await play(plan)
            if as_json:
                write_json(result_as_json(result))
            else:
                write_result(result, with_directions=keep)
            return result

        result = asyncio.run(
            _served(plan.url, play_and_report) if with_dashboard else play_and_report()
        )
        is_kept = keep and named is None
    finally:
        if not is_kept:
            shutil.rmtree(folder, ignore_errors=True)
    if not result.proof.holds:
        raise Failure("the proof failed: see the problems above")
    if bad_lines:
        raise Failure(f"{counted(bad_lines, 'line')} of the input could not be read")


async def _served(url: str, play_demo: Callable[[], Coroutine[Any, Any, DemoResult]]) -> DemoResult:
    try:
        from treadle.cli.demo.serving import serve_meanwhile
    except ImportError as error:
        advice = "in Treadle's folder, run: pip install '.[http]'"
        raise Failure(f"--serve needs more packages; {advice}") from error
    return await serve_meanwhile(url, play_demo())


def _copy_scripts(source: Path | None, folder: Path) -> Path:
    """Copy the conversations, so that all processes read the same, even if the file changes."""
    script_file = folder / "conversations.jsonl"
    shipped = files("treadle.cli.demo") / "conversations.jsonl"
    script_file.touch(mode=0o600)  # conversations are private
    with (source or shipped).open("rb") as given, script_file.open("wb") as copy:
        shutil.copyfileobj(given, copy)  # `copyfile` refuses a pipe
    return script_file


def _read_scripts(path: Path) -> tuple[tuple[Script, ...], int]:
    scripts: list[Script] = []
    bad_lines = 0
    for read in read_scripts(path):
        if isinstance(read, Bad):
            bad_lines += 1
            write_note(f"line {read.number}: {read.reason}")
        else:
            scripts.append(read)
    if not scripts:
        raise Failure("the input has no conversation; use a file that `treadle import` reads")
    return tuple(scripts), bad_lines
