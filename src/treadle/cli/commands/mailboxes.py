"""`treadle mailboxes`: list, show and count entries, and settle them by hand."""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import NamedTuple, get_args

import click
import msgspec

from treadle.cli.mailbox_deletions import delete, purge
from treadle.cli.mailbox_stats import stats
from treadle.cli.mailbox_why import why
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
from treadle.cli.terminal.help import ExampleGroup
from treadle.cli.terminal.notes import write_note
from treadle.cli.terminal.output import time_text, write_fields, write_json, write_line
from treadle.cli.terminal.tables import Column, beginning
from treadle.clock import system_clock
from treadle.core.codec import Json, to_plain
from treadle.core.mailbox_pauses import is_paused
from treadle.core.mailbox_queries import (
    EntryKey,
    FoundEntries,
    MailboxKey,
    MailboxSummary,
    MailboxSummaryPage,
)
from treadle.core.mailboxes import (
    EntryOrigin,
    EntryStatus,
    MailboxEntry,
    MailboxState,
    MailboxStats,
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
_MAILBOXES = (
    Column("mailbox", whole=True),
    Column("queued", right=True),
    Column("claimed", right=True),
    Column("dead letters", right=True),
    Column("ended", right=True),
    Column("due", whole=True),
    Column("holder"),
    Column("until", whole=True),
    Column("paused"),
)
_ENTRIES = click.argument("entry_ids", metavar="[ENTRY]...", nargs=-1)


@click.group(
    "mailboxes",
    cls=ExampleGroup,
    examples=("treadle mailboxes stats", "treadle mailboxes entries --status dead_letter"),
)
def mailboxes() -> None:
    """Look at queued work, and settle it by hand."""


@mailboxes.command(
    "list",
    examples=(
        "treadle mailboxes list",
        "treadle mailboxes list --by updated_at",
        "treadle mailboxes list --json | jq '.items[] | select(.counts.dead_letter > 0)'",
    ),
)
@store_option()
@click.option(
    "--by",
    type=click.Choice(get_args(MailboxKey)),
    default="id",
    show_default=True,
    help="Sort by the id, or by the last change of the state, such as an interrupt.",
)
@order_option
@after_option
@limit_option
@json_option
def list_mailboxes(
    by: MailboxKey, order: Order | None, after: str | None, limit: int, as_json: bool
) -> None:
    """List mailboxes, what is in them, and who holds them.

    --json: {"items": [{"state", "counts", "due_at", "claimed_by", ...}], "next_cursor"}.
    """

    async def read(store: Store) -> MailboxSummaryPage:
        return await store.mailboxes.list_summaries(
            by=by, order=direction(order, by), after=after, limit=limit
        )

    write_found(read_store(read), _MAILBOXES, _mailbox_cells, as_json=as_json, plain=to_plain)


@mailboxes.command(
    "entries",
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


_INTERNAL = frozenset(("turn", "last_turn", "closes_runs"))
"""Fields that mean something to claims and endings, and nothing to people."""


class _Mailbox(msgspec.Struct, frozen=True, kw_only=True):
    state: MailboxState
    stats: MailboxStats


@mailboxes.command(
    "show",
    examples=(
        "treadle mailboxes show 0196a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
        "treadle mailboxes show bike-squeaky-brakes --json | jq .stats",
    ),
)
@store_option()
@click.argument("any_id", metavar="ENTRY|MAILBOX")
@json_option
def show(any_id: str, as_json: bool) -> None:
    """Show an entry or a mailbox.

    A mailbox is shown with its generation, and the number of its entries in each status. What only
    claims need, such as the turn of an entry, is in --json only.

    --json: {"entry": {...}}, or {"mailbox": {...}, "stats": {...}}.
    """

    async def read(store: Store) -> MailboxEntry | _Mailbox:
        entry = await store.mailboxes.load_entry(any_id)
        if entry is not None:
            return entry
        state = await store.mailboxes.load(any_id)
        if state is None:
            raise NotFound("entry or mailbox", any_id)
        return _Mailbox(state=state, stats=await store.mailboxes.count_entries(any_id))

    found = read_store(read)
    document = _document_of(found)
    if as_json:
        write_json(document)
    else:
        fields = {name: item for part in document.values() for name, item in part.items()}
        write_fields({name: item for name, item in fields.items() if name not in _INTERNAL})


@mailboxes.command("interrupt", examples=("treadle mailboxes interrupt bike-squeaky-brakes",))
@store_option()
@click.argument("mailbox")
@json_option
def interrupt(mailbox: str, as_json: bool) -> None:
    """Stop all work in a mailbox.

    The unfinished entries in MAILBOX are superseded, and its worker is stopped. The mailbox gets a
    new generation, and entries sent from now on are processed as usual.

    --json: {"mailbox_state": {...}, "superseded_entries": [entries]}.
    """
    result = change_store(lambda store: store.mailboxes.interrupt(mailbox))
    if as_json:
        write_json(to_plain(result))
        return
    count = counted(len(result.superseded_entries), "entry", "entries")
    generation = result.mailbox_state.current_generation
    write_line(f"superseded {count}; {mailbox} is at generation {generation}")


@mailboxes.command(
    "pause",
    examples=(
        "treadle mailboxes pause bike-squeaky-brakes --reason 'the model is down'",
        "treadle mailboxes pause bike-squeaky-brakes --for 2h",
    ),
)
@store_option()
@click.argument("mailbox")
@click.option(
    "--for", "length", type=duration, metavar="DURATION", help="How long; default: until resumed."
)
@click.option("--reason", metavar="TEXT", help="Why, for those who look at the mailbox.")
@json_option
def pause(mailbox: str, length: int | None, reason: str | None, as_json: bool) -> None:
    """Keep workers from claiming entries of a mailbox.

    MAILBOX still takes what is sent to it. An entry that a worker holds already is not stopped.

    --json: {"mailbox_id", "paused_at", ...}.
    """
    until = None if length is None else system_clock() + length
    state = change_store(lambda store: store.mailboxes.pause(mailbox, until=until, reason=reason))
    end = "it is resumed" if state.paused_until is None else time_text(state.paused_until)
    _write_state(state, f"{mailbox} is paused until {end}", as_json=as_json)


@mailboxes.command("resume", examples=("treadle mailboxes resume bike-squeaky-brakes",))
@store_option()
@click.argument("mailbox")
@json_option
def resume(mailbox: str, as_json: bool) -> None:
    """End the pause of a mailbox.

    --json: {"mailbox_id", "current_generation", ...}.
    """

    async def write(store: Store) -> MailboxState:
        state = await store.mailboxes.resume(mailbox)
        if state is None:
            raise NotFound("mailbox", mailbox)
        return state

    _write_state(change_store(write), f"{mailbox} is not paused", as_json=as_json)


@mailboxes.command(
    "requeue",
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


@mailboxes.command(
    "cancel",
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


mailboxes.add_command(why)
mailboxes.add_command(stats)
mailboxes.add_command(purge)
mailboxes.add_command(delete)


def _write_state(state: MailboxState, text: str, *, as_json: bool) -> None:
    if as_json:
        write_json(to_plain(state))
    else:
        write_line(text)


def _document_of(found: MailboxEntry | _Mailbox) -> dict[str, dict[str, Json]]:
    if isinstance(found, MailboxEntry):
        return {"entry": to_plain(found)}
    return {"mailbox": to_plain(found.state), "stats": to_plain(found.stats)}


def _mailbox_cells(summary: MailboxSummary) -> tuple[str, ...]:
    counts = summary.counts
    ended = counts.accepted + counts.superseded + counts.cancelled
    return (
        summary.state.mailbox_id,
        *(f"{count:,}" for count in (counts.queued, counts.claimed, counts.dead_letter, ended)),
        time_text(summary.due_at),
        summary.claimed_by or "",
        time_text(summary.lease_until),
        _pause_text(summary.state),
    )


def _pause_text(state: MailboxState) -> str:
    if not is_paused(state, system_clock()):
        return ""
    until = "yes" if state.paused_until is None else f"until {time_text(state.paused_until)}"
    return f"{until}: {state.pause_reason}" if state.pause_reason else until


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
