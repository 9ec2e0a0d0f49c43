"""`weft copy`: everything of one store, in another of whatever kind."""

import asyncio

import click

import weft
from weft.backends.postgres.location import without_password
from weft.cli.examples import ExampleCommand
from weft.cli.failure import Failure
from weft.cli.opening import check_present
from weft.cli.output import counted, json_option, write_json, write_line
from weft.cli.progress import progress
from weft.core.codec import to_plain
from weft.store.copying import Copied, Progress, copy_store


@click.command(
    "copy",
    cls=ExampleCommand,
    examples=(
        "weft copy ./agents sqlite:///agents.db    from plain files to SQLite",
        "weft copy sqlite:///agents.db ./agents    and back",
    ),
)
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@json_option
def copy(source: str, target: str, as_json: bool) -> None:
    """Copy the threads, runs and mailboxes of the store SRC into the store DST.

    What is there already and equal is left alone: called again, an interrupted copy goes on where
    it stopped. At the end both are compared, and the exit status is 1 if something differs.

    --json: {"threads", "runs", "mailboxes", "entries", "written", "differing"}.
    """
    check_present(source)
    copied = asyncio.run(_copy(source, target))
    if as_json:
        write_json(to_plain(copied))
    else:
        _tell(copied, source, target)
    if copied.differing:
        differences = counted(len(copied.differing), "difference")
        advice = "somebody writes there; stop them, and copy again"
        raise Failure(f"{differences} left, the first at {copied.differing[0]}: {advice}")


async def _copy(source: str, target: str) -> Copied:
    async with weft.open_store(source) as origin, weft.open_store(target) as copied:
        with progress(f"copying {without_password(source)}", None) as bar:
            done = 0

            def tell(now: Progress) -> None:
                nonlocal done
                bar.advance(now.done - done)
                done = now.done

            return await copy_store(origin, copied, tell)


def _tell(copied: Copied, source: str, target: str) -> None:
    rows = (
        counted(copied.threads, "thread"),
        counted(copied.runs, "run"),
        counted(copied.mailboxes, "mailbox", "mailboxes"),
        counted(copied.entries, "entry", "entries"),
    )
    write_line(
        f"{without_password(source)} holds {', '.join(rows)}; {copied.written} had to be written"
    )
    if not copied.differing:
        write_line(f"{without_password(target)} holds the same")
