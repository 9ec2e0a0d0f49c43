"""`treadle watch`: show what happens in a store, as it happens."""

import asyncio

import click
import msgspec

from treadle.cli.commands.watch.happened import Happened
from treadle.cli.commands.watch.watching import Watching
from treadle.cli.opening import read_store
from treadle.cli.options import store_option
from treadle.cli.terminal.help import ExampleCommand
from treadle.cli.terminal.output import time_text, write_bytes, write_line
from treadle.core.escaping import harmless_json, one_line
from treadle.store.store import Store


@click.command(
    "watch",
    cls=ExampleCommand,
    examples=(
        "treadle watch",
        "treadle watch --mailbox bike-squeaky-brakes --thread bike-squeaky-brakes",
        "treadle watch --json | jq -c 'select(.entry.status == \"dead_letter\") | .entry'",
    ),
)
@store_option()
@click.option("--mailbox", metavar="ID", help="Only entries of this mailbox.")
@click.option("--thread", metavar="ID", help="Only this thread and its runs.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object a line.")
def watch(mailbox: str | None, thread: str | None, as_json: bool) -> None:
    """Show what happens in a store, as it happens.

    That is: how entries, mailboxes and runs change, and what is said in threads. Of what changes
    several times within a moment, the last state is shown. It ends with Ctrl-C. The store is only
    read.

    --json: one line for each: {"entry": {...}}, {"mailbox": {...}}, {"run": {...}} or
    {"thread": id, "delta": {...}}.
    """

    async def follow(store: Store) -> None:
        async for happened in Watching(store, mailbox, thread).run():
            _write(happened, as_json=as_json)

    try:
        read_store(follow)
    except asyncio.CancelledError as error:  # Ctrl-C
        raise KeyboardInterrupt from error


def _write(happened: Happened, *, as_json: bool) -> None:
    if as_json:
        write_bytes(harmless_json(msgspec.json.encode(happened.plain)) + b"\n")
    else:
        write_line(f"{time_text(happened.at)}  {one_line(happened.text)}")
