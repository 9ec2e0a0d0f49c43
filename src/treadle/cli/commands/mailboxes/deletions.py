"""`treadle mailboxes purge` and `delete`: remove entries for good."""

import click

from treadle.cli.confirming import confirm_deletion, yes_option
from treadle.cli.opening import change_store
from treadle.cli.options import duration, json_option, store_option
from treadle.cli.terminal.counts import counted
from treadle.cli.terminal.help import ExampleCommand
from treadle.cli.terminal.output import write_json, write_line
from treadle.clock import system_clock
from treadle.core.mailboxes import SETTLED, STATUSES, TERMINAL, EntryStatus
from treadle.errors import NotFound
from treadle.store.store import Store


@click.command(
    "purge",
    cls=ExampleCommand,
    examples=(
        "treadle mailboxes purge --older-than 30d",
        "treadle mailboxes purge --older-than 0s --mailbox bike-squeaky-brakes",
        "treadle mailboxes purge --older-than 90d --status dead_letter",
    ),
)
@store_option()
@click.option(
    "--older-than",
    type=duration,
    metavar="DURATION",
    required=True,
    help="Only entries that ended at least this long ago: 90s, 12h, 7d.",
)
@click.option("--mailbox", metavar="ID", help="Only in this mailbox.")
@click.option(
    "--status",
    "statuses",
    type=click.Choice([each for each in STATUSES if each in TERMINAL]),
    multiple=True,
    help="Only with this status; may be repeated. Default: all but dead_letter.",
)
@json_option
def purge(
    older_than: int, mailbox: str | None, statuses: tuple[EntryStatus, ...], as_json: bool
) -> None:
    """Remove entries that have ended.

    Dead letters stay, unless --status dead_letter asks for them. A dedupe key of a removed entry
    can be used again.

    --json: {"purged": N}.
    """
    until = max(system_clock() - older_than, 0)
    count = change_store(
        lambda store: store.mailboxes.purge(until, mailbox_id=mailbox, statuses=statuses or SETTLED)
    )
    if as_json:
        write_json({"purged": count})
    else:
        write_line(f"purged {counted(count, 'entry', 'entries')}")


@click.command(
    "delete",
    cls=ExampleCommand,
    examples=(
        "treadle mailboxes delete bike-squeaky-brakes",
        "treadle mailboxes delete --yes bike-squeaky-brakes",
    ),
)
@store_option()
@click.argument("mailbox")
@yes_option
@json_option
def delete(mailbox: str, yes: bool, as_json: bool) -> None:
    """Delete a mailbox with all its entries.

    Entries that wait are deleted, too, and a worker that holds one is stopped.

    --json: {"deleted": N}, the number of entries.
    """
    if not yes:
        confirm_deletion(f"mailbox {mailbox!r}")

    async def write(store: Store) -> int:
        if await store.mailboxes.load(mailbox) is None:
            raise NotFound("mailbox", mailbox)
        return await store.mailboxes.delete(mailbox)

    count = change_store(write)
    if as_json:
        write_json({"deleted": count})
    else:
        write_line(f"deleted {mailbox} with {counted(count, 'entry', 'entries')}")
