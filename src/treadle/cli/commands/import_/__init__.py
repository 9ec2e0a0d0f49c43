"""`treadle import`: store the conversations of a file as threads."""

import os
import sys
from contextlib import aclosing
from typing import BinaryIO, cast

import click

from treadle.backends.urls import without_password
from treadle.cli.commands.import_.databases import IMPORTERS, DatabaseSummary, find_importer
from treadle.cli.commands.import_.importing import Failed, ImportResult, Summary, load_lines
from treadle.cli.json_lines import read_lines
from treadle.cli.opening import write_store
from treadle.cli.options import json_option, store_option
from treadle.cli.terminal.counts import counted
from treadle.cli.terminal.failure import Failure
from treadle.cli.terminal.help import ExampleCommand
from treadle.cli.terminal.input import InputLines
from treadle.cli.terminal.interrupts import interruptible
from treadle.cli.terminal.output import write_json, write_line
from treadle.cli.terminal.progress import Progress, progress
from treadle.store.store import Store


@click.command(
    "import",
    cls=ExampleCommand,
    examples=(
        "treadle import conversations.jsonl",
        "zcat conversations.jsonl.gz | treadle import --store ./agents -",
        "treadle import conversations.jsonl --json | jq .failed",
        "treadle import --from langgraph sqlite:///checkpoints.db",
        "treadle import --from chatgpt export.zip --owner anna",
    ),
)
@store_option()
@click.option(
    "--from",
    "program",
    type=click.Choice(sorted(IMPORTERS)),
    help="Import the database of a framework or the export of a chat, instead of JSON Lines.",
)
@click.option("--owner", metavar="ID", help="Whose the threads are that have no owner yet.")
@click.argument("source", metavar="[FILE|URL]", default="-")
@json_option
@click.pass_context
def import_command(
    context: click.Context, source: str, program: str | None, owner: str | None, as_json: bool
) -> None:
    """Store conversations of a file or another program.

    FILE, or standard input, is JSON Lines in the OpenAI chat format: {"id": ..., "messages":
    [...], ...} on each line. With "treadle": {"message_times": [...]}, in unix milliseconds, the
    messages keep their times. A conversation that is stored already is not changed; if it has
    new messages, these are added; if it contradicts the stored one, that is an error. A bad line
    is reported as `line N: reason`, all others are imported, and the exit status is 1.

    With --from, URL is a database of LangGraph's checkpointers (sqlite:///x.db,
    postgresql://...), of the OpenAI Agents SDK's SQLiteSession (sqlite:///x.db), or of ADK's
    session services (either), and the framework's adapter reads what is imported. Or FILE is the
    export of ChatGPT or Claude: the zip archive, or a conversations.json that was in it. The
    source is only read. Importing again changes nothing, and adds what is new.

    --owner gives the threads their owner, also those that are stored without one; a conversation
    of another owner is an error. ADK's sessions have their users, LangGraph's checkpoints nobody.

    --json: {"created", "extended", "unchanged", "failed", "messages", "errors": [{"line",
    ...}]}; with --from "items", "branches", "files" and "name" instead of "messages" and "line".
    """
    if program is not None:
        _import_from(program, source, owner, as_json=as_json)
    else:
        file = click.File("rb", lazy=False).convert(source, None, context)
        _import_lines(cast("BinaryIO", file), owner, as_json=as_json)


def _import_from(program: str, source: str, owner: str | None, *, as_json: bool) -> None:
    importer = find_importer(program, owner)

    async def load(store: Store) -> DatabaseSummary:
        summary = DatabaseSummary()
        with progress(f"importing {without_password(source)}", None) as bar:
            async with aclosing(importer(store, source)) as results:
                async for result in results:
                    if result.reason is not None:
                        bar.note(f"{result.name}: {result.reason}")
                    bar.reach(result.done, result.total)
                    summary.add(result)
        return summary

    try:
        with interruptible():
            summary = write_store(load)
    except ImportError as error:  # what reads this kind of database is missing
        raise Failure(str(error)) from error
    if as_json:
        write_json(summary.as_json())
    else:
        write_line(summary.as_line())
    if summary.errors:
        failed = counted(len(summary.errors), "conversation")
        raise Failure(f"{failed} could not be imported, all others were")


def _import_lines(stream: BinaryIO, owner: str | None, *, as_json: bool) -> None:
    if stream.isatty() and stream.fileno() == sys.stdin.fileno():
        raise click.UsageError("give a FILE, or pipe conversations to standard input")

    async def load(store: Store) -> Summary:
        summary = Summary()
        with progress("importing", _size_of(stream)) as bar:
            loading = load_lines(store, conversations, lines.is_ready, owner=owner)
            async with aclosing(loading) as results:
                async for result in results:
                    _note(result, bar)
                    bar.advance(result.size)
                    summary.add(result)
        return summary

    lines = InputLines(stream)
    with interruptible():
        conversations = read_lines(lines)  # before a store is created for nothing
        summary = write_store(load)
    _report(summary, as_json=as_json)


def _note(result: ImportResult, bar: Progress) -> None:
    if isinstance(result, Failed):
        bar.note(f"line {result.number}: {result.reason}")


def _size_of(stream: BinaryIO) -> int | None:
    try:
        return os.fstat(stream.fileno()).st_size or None
    except OSError:
        return None


def _report(summary: Summary, *, as_json: bool) -> None:
    if as_json:
        write_json(summary.as_json())
    else:
        kinds = summary.kinds
        write_line(
            f"{counted(kinds['created'], 'thread')} created, {kinds['extended']} extended, "
            f"{kinds['unchanged']} unchanged, {counted(summary.messages, 'message')} added"
        )
    if summary.errors:
        lines = counted(len(summary.errors), "line")
        raise Failure(f"{lines} could not be imported, all others were; correct and import again")
