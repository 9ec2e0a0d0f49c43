"""`treadle erase`: delete everything of one user, and what that has left in files."""

import click

from treadle.cli.confirming import confirm_deletion, yes_option
from treadle.cli.opening import change_store
from treadle.cli.options import json_option, store_option
from treadle.cli.terminal.counts import counted_rows
from treadle.cli.terminal.help import ExampleCommand
from treadle.cli.terminal.output import write_json, write_line
from treadle.cli.terminal.progress import progress
from treadle.core.codec import to_plain
from treadle.store.erasing import Erased
from treadle.store.store import Store


@click.command(
    "erase",
    cls=ExampleCommand,
    examples=("treadle erase --resource anna", "treadle erase --resource anna --yes --json"),
)
@store_option()
@click.option("--resource", metavar="ID", required=True, help="The owner, as threads name it.")
@yes_option
@json_option
def erase(resource: str, yes: bool, as_json: bool) -> None:
    """Delete everything of one user.

    These are the threads of the owner, and those below them that nobody else owns; their runs and
    mailboxes; and the documents whose keys begin with the owner's or such a thread's id. Then the
    store's files are cleaned of what was deleted. If it is interrupted, run it again.

    --json: {"threads", "runs", "mailboxes", "entries", "documents"}, the numbers deleted.
    """
    if not yes:
        confirm_deletion(f"everything of {resource!r}")

    async def work(store: Store) -> Erased:
        with progress("erasing", None, unit="threads") as bar:
            return await store.erase(resource, report=lambda _: bar.advance(1))

    erased = to_plain(change_store(work))
    if as_json:
        write_json(erased)
    else:
        write_line(f"erased {counted_rows(erased)}")
