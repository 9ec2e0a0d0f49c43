"""`treadle export`: write threads as conversations, which `treadle import` reads."""

from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from treadle.cli.commands.export.output_file import STANDARD_OUTPUT, open_output
from treadle.cli.concurrency import map_in_order
from treadle.cli.opening import read_store
from treadle.cli.options import store_option
from treadle.cli.terminal.counts import counted
from treadle.cli.terminal.failure import Failure, describe
from treadle.cli.terminal.help import ExampleCommand
from treadle.cli.terminal.interrupts import interruptible
from treadle.cli.terminal.notes import write_note
from treadle.cli.terminal.progress import progress
from treadle.core.escaping import harmless_json
from treadle.core.limits import PAGE
from treadle.core.threads import ThreadHead
from treadle.errors import CorruptRecord, NotFound
from treadle.integrations.openai_chat import write_conversation
from treadle.store.store import Store

_CONCURRENCY = 16


@click.command(
    "export",
    cls=ExampleCommand,
    examples=(
        "treadle export > conversations.jsonl",
        "treadle export bike-squeaky-brakes | jq .messages",
        "treadle export --owner user-17 --output user-17.jsonl",
    ),
)
@store_option()
@click.argument("thread_ids", metavar="[THREAD]...", nargs=-1)
@click.option("--owner", metavar="ID", help="Only threads of this owner.")
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, writable=True, path_type=Path, allow_dash=True),
    default=STANDARD_OUTPUT,
    help="Write to this file, which appears when it is complete.  [default: standard output]",
)
def export_command(thread_ids: tuple[str, ...], owner: str | None, output: Path) -> None:
    """Write threads as JSON Lines in the OpenAI chat format.

    Without a THREAD, all threads are written. Each line is {"id": ..., "messages": [...], ...};
    what the format has no name for is in its field "treadle", such as the times of the messages.
    `treadle import` reads it.
    """
    if thread_ids and owner is not None:
        raise click.UsageError("give either threads or --owner")

    async def write(store: Store) -> list[str]:
        if thread_ids:
            return await _write(store, thread_ids, stream, must_exist=True)
        ids, unreadable = await _list_ids(store, owner)
        errors = [f"{name} cannot be read; see `treadle doctor`" for name in unreadable]
        return errors + await _write(store, ids, stream)

    with open_output(output) as stream, interruptible():
        errors = read_store(write)
    for error in errors:
        write_note(f"treadle: {error}")
    if errors:
        raise Failure(f"{counted(len(errors), 'thread')} could not be exported; all others were")


async def _list_ids(store: Store, owner: str | None) -> tuple[list[str], list[str]]:
    """Return the ids of all threads or of an owner's, and the names of what cannot be read.

    They are read by a cursor: with an offset, a thread that is deleted meanwhile would move
    another one out of the next page. Whose thread cannot be read is not known.
    """
    ids: list[str] = []
    unreadable: dict[str, None] = {}
    cursor: str | None = None
    while True:
        page = await store.threads.list_summaries(
            by="id", after=cursor, limit=PAGE, resource_id=owner
        )
        ids += [head.id for head in page.items]
        unreadable |= dict.fromkeys(page.unreadable)
        cursor = page.next_cursor
        if cursor is None:
            return ids, list(unreadable)


async def _write(
    store: Store, ids: Sequence[str], stream: BinaryIO, *, must_exist: bool = False
) -> list[str]:
    """Write the threads; return the errors of those that cannot be written."""

    async def load(thread_id: str) -> ThreadHead | str | None:
        try:
            head = await store.threads.load(thread_id)
        except CorruptRecord as error:
            return describe(error)
        if head is None and must_exist:
            return str(NotFound("thread", thread_id))
        return head  # None: it was deleted meanwhile

    errors: list[str] = []
    with progress("exporting", len(ids), unit="threads") as bar:
        async with aclosing(map_in_order(load, ids, _CONCURRENCY)) as heads:
            async for loaded in heads:
                if isinstance(loaded, str):
                    errors.append(loaded)
                elif loaded is not None:
                    line = msgspec.json.encode(
                        write_conversation(loaded.thread, loaded.message_times)
                    )
                    stream.write(harmless_json(line) + b"\n")
                bar.advance(1)
    return errors
