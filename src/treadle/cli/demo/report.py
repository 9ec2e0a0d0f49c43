"""The report at the end of the demo."""

import os
import shlex
import shutil
import sys
from pathlib import Path

import msgspec

from treadle import Json
from treadle.backends.urls import without_password
from treadle.cli.demo.play import DemoResult
from treadle.cli.demo.proof import Proof, Verdict, proof_as_json
from treadle.cli.options import STORE_VARIABLE
from treadle.cli.terminal.counts import counted
from treadle.cli.terminal.output import write_line, write_table
from treadle.cli.terminal.tables import Column

_COLUMNS = (
    Column("conversation", whole=True),
    Column("turns", right=True),
    Column("messages", right=True),
    Column("runs done", right=True),
    Column("left", right=True),
    Column("version", right=True),
    Column("redone", right=True),
    Column("proved", whole=True),
)


def result_as_json(result: DemoResult) -> dict[str, Json]:
    """Return the document that `treadle demo --json` writes."""
    return {
        **proof_as_json(result.proof),
        "killed": msgspec.to_builtins(result.killed),
        "store": without_password(result.url),
        "seconds": result.seconds,
    }


def write_result(result: DemoResult, *, with_directions: bool) -> None:
    """Write the table, its meaning, and commands to look at the store."""
    proof = result.proof
    write_table(_COLUMNS, [_cells(verdict) for verdict in proof.verdicts])
    write_line()
    for verdict in proof.verdicts:
        for problem in verdict.problems:
            write_line(f"{verdict.thread_id}: {problem}", fg="red")
    write_line(_summary(proof), bold=True)
    write_line(_incident(result))
    if with_directions:
        _write_directions(result)


def _cells(verdict: Verdict) -> tuple[str, ...]:
    return (
        verdict.thread_id,
        f"{verdict.turns_found}/{verdict.turns_expected}",
        f"{verdict.messages_found}/{verdict.messages_expected}",
        f"{verdict.runs_done}/{verdict.turns_expected}",
        str(verdict.entries_left),
        "-" if verdict.version is None else str(verdict.version),
        str(verdict.redone),
        "NO" if verdict.problems else "yes",
    )


def _summary(proof: Proof) -> str:
    facts = ", ".join(
        (
            counted(len(proof.verdicts), "conversation"),
            f"{proof.total('turns_found'):,} of {counted(proof.total('turns_expected'), 'turn')}",
            f"{proof.total('messages_found'):,} of "
            f"{counted(proof.total('messages_expected'), 'message')}",
        )
    )
    if not proof.holds:
        return f"{facts}: this does NOT match the script."
    return (
        f"{facts}: every turn is there exactly once and in order, every run is done, "
        "and no entry is left."
    )


def _incident(result: DemoResult) -> str:
    redone = counted(result.proof.total("redone"), "claim")
    killed = result.killed
    if killed is None:
        return f"No worker was killed: there was no work left. It took {result.seconds:.1f} s."
    return (
        f"Worker {killed.process} (pid {killed.pid}) was killed with SIGKILL in the middle of a "
        f"step; {redone} {'was' if redone == '1 claim' else 'were'} redone by others. "
        f"It took {result.seconds:.1f} s."
    )


def _write_directions(result: DemoResult) -> None:
    """Write commands that show what is in the store; a shell runs them as they are."""
    url = without_password(result.url)
    first = shlex.quote(result.proof.verdicts[0].thread_id)
    option = f" --store {shlex.quote(url)}"
    write_line()
    if url == result.url:
        write_line(f"The store is in {url}. To look at it:")
    else:  # the password must not be shown, and without it the commands would not work
        option = ""
        write_line(f"The store is in {url}. Set {STORE_VARIABLE} to its URL, and look at it:")
    for arguments in (
        "threads list",
        f"threads show {first}",
        f"runs list --thread {first}",
        "mailboxes stats",
        *((f"mailboxes show {result.killed.entry_id}",) if result.killed else ()),
    ):
        write_line(f"  {command_line()} {arguments}{option}")


def command_line() -> str:
    """Return the command that runs `treadle` in the current folder, as the user called it."""
    invoked = shutil.which(sys.argv[0])
    if invoked is None or Path(invoked).stem != "treadle":
        return f"{shlex.quote(sys.executable)} -m treadle"
    installed = shutil.which("treadle")
    if installed is not None and os.path.samefile(installed, invoked):
        return "treadle"
    return shlex.quote(sys.argv[0])  # in a virtual environment that is not activated
