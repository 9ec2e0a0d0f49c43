"""`weft mailboxes interrupt|requeue|cancel|purge`: entries settled by hand."""

import click

from weft.cli.durations import duration
from weft.cli.examples import ExampleCommand
from weft.cli.failure import Failure
from weft.cli.opening import read_store, store_option
from weft.cli.output import counted, json_option, write_json, write_line
from weft.cli.paging import read_all
from weft.core.clock import system_clock
from weft.core.codec import to_plain
from weft.core.mailboxes import EntryStatus, MailboxEntry
from weft.errors import NotFound
from weft.store.store import Store

_ENTRIES = click.argument("entry_ids", metavar="[ENTRY]...", nargs=-1)


@click.command(
    "interrupt", cls=ExampleCommand, examples=("weft mailboxes interrupt bike-squeaky-brakes",)
)
@store_option()
@click.argument("mailbox")
@json_option
def interrupt(mailbox: str, as_json: bool) -> None:
    """Start MAILBOX anew: all that waits in it is superseded, and who works on it is stopped.

    --json: {"mailbox_state": {...}, "superseded_entries": [entries]}.
    """
    result = read_store(lambda store: store.mailboxes.interrupt(mailbox))
    if as_json:
        write_json(to_plain(result))
        return
    count = counted(len(result.superseded_entries), "entry", "entries")
    generation = result.mailbox_state.current_generation
    write_line(f"superseded {count}; {mailbox} is at generation {generation}")


@click.command(
    "requeue",
    cls=ExampleCommand,
    examples=(
        "weft mailboxes requeue 0196a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
        "weft mailboxes requeue --all --mailbox bike-squeaky-brakes",
    ),
)
@store_option()
@_ENTRIES
@click.option("--all", "every", is_flag=True, help="All dead letters, or those of --mailbox.")
@click.option("--mailbox", metavar="ID", help="With --all: the mailbox.")
@json_option
def requeue(entry_ids: tuple[str, ...], every: bool, mailbox: str | None, as_json: bool) -> None:
    """Queue dead letters again, their attempts counted anew.

    --json: {"entries": [those that were queued]}.
    """
    if bool(entry_ids) == every or (mailbox is not None and not every):
        raise click.UsageError("give either entries, or --all (with --mailbox, if you like)")

    async def write(store: Store) -> list[MailboxEntry]:
        ids = await _list_ids(store, mailbox, "dead_letter") if every else list(entry_ids)
        return [await _requeue(store, entry_id) for entry_id in ids]

    _write_entries("queued again", read_store(write), as_json=as_json)


@click.command(
    "cancel",
    cls=ExampleCommand,
    examples=(
        "weft mailboxes cancel 0196a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
        "weft mailboxes cancel --mailbox bike-squeaky-brakes",
    ),
)
@store_option()
@_ENTRIES
@click.option("--mailbox", metavar="ID", help="All unfinished entries of this mailbox.")
@json_option
def cancel(entry_ids: tuple[str, ...], mailbox: str | None, as_json: bool) -> None:
    """End entries that are not wanted any more.

    --json: {"entries": [those that were cancelled]}.
    """
    if bool(entry_ids) == (mailbox is not None):
        raise click.UsageError("give either entries, or --mailbox")

    async def write(store: Store) -> list[MailboxEntry]:
        if mailbox is not None:
            return list(await store.mailboxes.cancel_pending(mailbox))
        return [await _cancel(store, entry_id) for entry_id in entry_ids]

    _write_entries("cancelled", read_store(write), as_json=as_json)


@click.command("purge", cls=ExampleCommand, examples=("weft mailboxes purge --older-than 30d",))
@store_option()
@click.option(
    "--older-than",
    type=duration,
    metavar="DURATION",
    required=True,
    help="Those that ended longer ago: 90s, 12h, 7d.",
)
@json_option
def purge(older_than: int, as_json: bool) -> None:
    """Remove entries that have ended, dead letters too, and forget their dedupe keys.

    --json: {"purged": N}.
    """
    until = max(system_clock() - older_than, 0)
    count = read_store(lambda store: store.mailboxes.purge(until))
    if as_json:
        write_json({"purged": count})
    else:
        write_line(f"purged {counted(count, 'entry', 'entries')}")


async def _requeue(store: Store, entry_id: str) -> MailboxEntry:
    before = await store.mailboxes.load(entry_id)
    if before is not None and before.status != "dead_letter":
        raise Failure(f"entry {entry_id} is {before.status}; only a dead letter can be requeued")
    entry = await store.mailboxes.requeue(entry_id)
    if entry is None:
        raise NotFound("mailbox entry", entry_id)
    return entry


async def _cancel(store: Store, entry_id: str) -> MailboxEntry:
    entry = await store.mailboxes.cancel(entry_id)
    if entry is None:
        raise NotFound("mailbox entry", entry_id)
    if entry.status != "cancelled":
        raise Failure(f"entry {entry_id} has ended already: it is {entry.status}")
    return entry


async def _list_ids(store: Store, mailbox: str | None, status: EntryStatus) -> list[str]:
    entries = read_all(
        lambda offset, limit: store.mailboxes.list(
            offset=offset, limit=limit, mailbox_id=mailbox, status=status
        )
    )
    return [entry.entry_id async for entry in entries]


def _write_entries(done: str, entries: list[MailboxEntry], *, as_json: bool) -> None:
    if as_json:
        write_json({"entries": [to_plain(entry) for entry in entries]})
    else:
        write_line(f"{done}: {counted(len(entries), 'entry', 'entries')}")
