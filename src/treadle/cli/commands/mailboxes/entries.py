"""`treadle mailboxes entries`, `requeue` and `cancel`: list entries, and settle them by hand."""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import NamedTuple, get_args

import click
import msgspec

from treadle.cli.opening import change_store, read_store
from treadle.cli.options import (
    after_option,
    direction,
    duration,
    json_option,
    limit_option,
    order_option,
    store_option,
)
from treadle.cli.paging import write_found
from treadle.cli.terminal.counts import counted
from treadle.cli.terminal.failure import Failure, describe
from treadle.cli.terminal.help import ExampleCommand
from treadle.cli.terminal.notes import write_note
from treadle.cli.terminal.output import time_text, write_json, write_line
from treadle.cli.terminal.tables import Column, beginning
from treadle.clock import system_clock
from treadle.core.codec import to_plain
from treadle.core.mailbox_queries import (
    EntryKey,
    FoundEntries,
)
from treadle.core.mailboxes import (
    EntryOrigin,
    EntryStatus,
    MailboxEntry,
)
from treadle.core.pages import Order
from treadle.errors import InvalidId, NotFound
from treadle.store.pages import every_by_cursor
from treadle.store.store import Store

_COLUMNS = (
    Column("entry", whole=True),
    Column("mailbox"),
    Column("status", whole=True),
    Column("attempts", right=True),
    Column("due", whole=True),
    Column("note"),
    Column("payload"),
)


_ENTRIES = click.argument("entry_ids", metavar="[ENTRY]...", nargs=-1)


@click.command(
    "entries",
    cls=ExampleCommand,
    examples=(
        "treadle mailboxes entries --status dead_letter --error timeout --since 12h",
        "treadle mailboxes entries --mailbox bike-squeaky-brakes",
        "treadle mailboxes entries --by available_at --order asc",
        "treadle mailboxes entries --json | jq -r '.items[].entry_id'",
    ),
)
@store_option()
@click.option("--mailbox", metavar="ID", help="Only in this mailbox.")
@click.option(
    "--status",
    "statuses",
    type=click.Choice(get_args(EntryStatus)),
    multiple=True,
    help="Only with this status; may be repeated.",
)
@click.option("--error", metavar="TEXT", help="Only with this text in the last error.")
@click.option("--claimed-by", metavar="NAME", help="Only claimed by this worker.")
@click.option(
    "--since",
    metavar="DURATION",
    type=duration,
    help="Only those sent within this time: 90s, 12h, 7d.",
)
@click.option("--origin", type=click.Choice(get_args(EntryOrigin)), help="Only from this origin.")
@click.option(
    "--by",
    type=click.Choice(get_args(EntryKey)),
    default="created_at",
    show_default=True,
    help="Sort by this time; available_at lists what is queued, by when it is due.",
)
@order_option
@after_option
@limit_option
@json_option
def list_entries(  # noqa: PLR0913, PLR0917
    mailbox: str | None,
    statuses: tuple[EntryStatus, ...],
    error: str | None,
    claimed_by: str | None,
    since: int | None,
    origin: EntryOrigin | None,
    by: EntryKey,
    order: Order | None,
    after: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List entries, newest first.

    --json: {"items": [entries], "next_cursor"}.
    """

    async def read(store: Store) -> FoundEntries:
        return await store.mailboxes.search_entries(
            by=by,
            order=direction(order, by),
            after=after,
            limit=limit,
            mailbox_id=mailbox,
            statuses=statuses or None,
            error=error,
            claimed_by=claimed_by,
            origin=origin,
            since=None if since is None else max(system_clock() - since, 0),
        )

    write_found(read_store(read), _COLUMNS, _cells, as_json=as_json, plain=to_plain)


@click.command(
    "requeue",
    cls=ExampleCommand,
    examples=(
        "treadle mailboxes requeue 0196a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
        "treadle mailboxes requeue --all --mailbox bike-squeaky-brakes",
        "treadle mailboxes requeue --all --error 'the model is overloaded'",
    ),
)
@store_option()
@_ENTRIES
@click.option("--all", "all_dead", is_flag=True, help="All dead letters that match the options.")
@click.option("--mailbox", metavar="ID", help="With --all: only in this mailbox.")
@click.option("--error", metavar="TEXT", help="With --all: only with this text in the error.")
@json_option
def requeue(
    entry_ids: tuple[str, ...],
    all_dead: bool,
    mailbox: str | None,
    error: str | None,
    as_json: bool,
) -> None:
    """Queue dead letters again.

    Their attempts are counted from zero.

    --json: {"entries": [those that were queued]}.
    """
    is_filtered = mailbox is not None or error is not None
    if bool(entry_ids) == all_dead or (is_filtered and not all_dead):
        raise click.UsageError("give either entries, or --all, with --mailbox or --error if wanted")

    async def write(store: Store) -> _Outcome:
        if not all_dead:
            return await _each(store, entry_ids, _requeue)
        done = await _each(store, await _list_dead(store, mailbox, error), _requeue)
        return done._replace(errors=[])  # of those that others have requeued or removed meanwhile

    _write_entries("queued again", change_store(write), as_json=as_json)


@click.command(
    "cancel",
    cls=ExampleCommand,
    examples=(
        "treadle mailboxes cancel 0196a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
        "treadle mailboxes cancel --mailbox bike-squeaky-brakes",
    ),
)
@store_option()
@_ENTRIES
@click.option("--mailbox", metavar="ID", help="All unfinished entries in this mailbox.")
@json_option
def cancel(entry_ids: tuple[str, ...], mailbox: str | None, as_json: bool) -> None:
    """Cancel entries; a worker that holds one is stopped.

    --json: {"entries": [those that were cancelled]}.
    """
    if bool(entry_ids) == (mailbox is not None):
        raise click.UsageError("give either entries or --mailbox")

    async def write(store: Store) -> _Outcome:
        if mailbox is not None:
            return _Outcome(list(await store.mailboxes.cancel_pending(mailbox)), [])
        return await _each(store, entry_ids, _cancel)

    _write_entries("cancelled", change_store(write), as_json=as_json)


def _cells(entry: MailboxEntry) -> tuple[str, ...]:
    return (
        entry.entry_id,
        entry.mailbox_id,
        entry.status,
        str(entry.attempt_count),
        time_text(entry.available_at) if entry.status == "queued" else "",
        _note(entry),
        beginning(msgspec.json.encode(entry.payload).decode()),
    )


def _note(entry: MailboxEntry) -> str:
    if entry.status == "claimed":
        return f"{entry.claimed_by} holds it until {time_text(entry.lease_until)}"
    return entry.last_error or ""


class _Outcome(NamedTuple):
    """The entries that were changed, and why others were not."""

    entries: list[MailboxEntry]
    errors: list[str]


async def _each(
    store: Store,
    entry_ids: Iterable[str],
    change: Callable[[Store, str], Awaitable[MailboxEntry]],
) -> _Outcome:
    """Change each entry, even if another one cannot be changed."""
    done = _Outcome([], [])
    for entry_id in entry_ids:
        try:
            done.entries.append(await change(store, entry_id))
        except (InvalidId, NotFound) as error:
            done.errors.append(describe(error))
        except Failure as failure:
            done.errors.append(failure.message)
    return done


async def _requeue(store: Store, entry_id: str) -> MailboxEntry:
    before = await store.mailboxes.load_entry(entry_id)
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
        raise Failure(f"entry {entry_id} has already ended: it is {entry.status}")
    return entry


async def _list_dead(store: Store, mailbox: str | None, error: str | None) -> list[str]:
    letters = partial(
        store.mailboxes.search_entries,
        mailbox_id=mailbox,
        statuses=["dead_letter"],
        error=error,
        order="asc",
    )
    return [entry.entry_id async for entry in every_by_cursor(letters)]


def _write_entries(done: str, outcome: _Outcome, *, as_json: bool) -> None:
    """Write what was changed, and then the errors.

    Raises:
        Failure: there is an error; it has the last one.
    """
    entries, errors = outcome
    if as_json and (entries or not errors):
        write_json({"entries": [to_plain(entry) for entry in entries]})
    elif entries or not errors:
        write_line(f"{done}: {counted(len(entries), 'entry', 'entries')}")
    for error in errors[:-1]:
        write_note(f"treadle: {error}")
    if errors:
        raise Failure(errors[-1])
