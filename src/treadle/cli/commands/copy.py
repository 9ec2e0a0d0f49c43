"""`treadle copy`: copy everything in a store into another, of any kind."""

import asyncio

import click

import treadle
from treadle.backends.urls import without_password
from treadle.cli.opening import check_possible, check_present
from treadle.cli.options import json_option
from treadle.cli.terminal.counts import counted, counted_rows
from treadle.cli.terminal.failure import Failure
from treadle.cli.terminal.help import ExampleCommand
from treadle.cli.terminal.output import write_json, write_line
from treadle.cli.terminal.progress import progress
from treadle.core.codec import to_plain
from treadle.store.copying import Copied, copy_store


@click.command(
    "copy",
    cls=ExampleCommand,
    examples=(
        "treadle copy ./agents sqlite:///agents.db    # from plain files to SQLite",
        "treadle copy sqlite:///agents.db ./agents    # and back",
    ),
)
@click.argument("source")
@click.argument("target")
@json_option
def copy(source: str, target: str, as_json: bool) -> None:
    """Copy a store into another, of any kind.

    SOURCE and TARGET are folders or URLs. TARGET is created if it does not exist; on PostgreSQL,
    run `treadle migrate` first. Items that are equal in both are not written again, so after an
    interruption, run the same command again. At the end both stores are compared, and the exit
    status is 1 if they differ.

    --json: {"threads", "runs", "mailboxes", "entries", "documents", "written", "differing"}.
    """
    check_present(source)
    check_possible(target)
    copied = asyncio.run(_copy(source, target))
    if as_json:
        write_json(to_plain(copied))
    else:
        _report(copied, source, target)
    if copied.differing:
        differences = counted(len(copied.differing), "difference")
        advice = "another process writes to one of the stores; stop it, and copy again"
        raise Failure(f"{differences} left, the first at {copied.differing[0]}: {advice}")


async def _copy(source: str, target: str) -> Copied:
    async with (
        treadle.open_store(source, read_only=True) as origin,
        treadle.open_store(target) as copied,
    ):
        with progress(f"copying {without_password(source)}", None) as bar:
            return await copy_store(origin, copied, lambda now: bar.reach(now.done, now.total))


def _report(copied: Copied, source: str, target: str) -> None:
    rows = counted_rows(to_plain(copied))
    write_line(f"{without_password(source)} holds {rows}; {copied.written:,} copied")
    if not copied.differing:
        write_line(f"{without_password(target)} holds the same")
