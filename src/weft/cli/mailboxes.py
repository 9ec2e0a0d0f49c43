"""`weft mailboxes`: entries listed and shown, mailboxes counted."""

from typing import cast, get_args

import click
import msgspec

from weft.cli.examples import ExampleGroup
from weft.cli.opening import read_store, store_option
from weft.cli.output import json_option, time_text, write_json, write_table
from weft.cli.paging import Listing, limit_option, offset_option, read_listing, say_more
from weft.cli.settling import cancel, interrupt, purge, requeue
from weft.cli.tables import Column
from weft.cli.transcript import write_fields
from weft.core.codec import Json, to_plain
from weft.core.mailboxes import (
    EntryOrigin,
    EntryStatus,
    MailboxEntry,
    MailboxState,
    MailboxStats,
)
from weft.errors import NotFound
from weft.store.store import Store

_COLUMNS = (
    Column("entry", key=True),
    Column("mailbox"),
    Column("status", whole=True),
    Column("attempts", right=True),
    Column("due", whole=True),
    Column("payload"),
    Column("note"),
)
_PAYLOAD = 60
"""How much of a payload a table shows, in characters."""


@click.group(
    "mailboxes",
    cls=ExampleGroup,
    examples=("weft mailboxes stats", "weft mailboxes list --status dead_letter"),
)
def mailboxes() -> None:
    """Look at the work that waits for agents, and settle it by hand."""


for _command in (interrupt, requeue, cancel, purge):
    mailboxes.add_command(_command)


@mailboxes.command(
    "list",
    examples=(
        "weft mailboxes list --status dead_letter",
        "weft mailboxes list --mailbox bike-squeaky-brakes",
        "weft mailboxes list --json | jq -r '.items[].entry_id'",
    ),
)
@store_option()
@click.option("--mailbox", metavar="ID", help="Those of this mailbox.")
@click.option("--status", type=click.Choice(get_args(EntryStatus)), help="Those in this state.")
@click.option(
    "--origin", type=click.Choice(get_args(EntryOrigin)), help="Those that came from here."
)
@offset_option
@limit_option
@json_option
def list_entries(
    mailbox: str | None,
    status: str | None,
    origin: str | None,
    offset: int,
    limit: int,
    as_json: bool,
) -> None:
    """List the entries of mailboxes, oldest first.

    --json: {"items": [entries], "total", "has_more"}.
    """

    async def read(store: Store) -> Listing[MailboxEntry]:
        return await read_listing(
            lambda start, size: store.mailboxes.list(
                offset=start,
                limit=size,
                mailbox_id=mailbox,
                status=cast("EntryStatus | None", status),
                origin=cast("EntryOrigin | None", origin),
            ),
            offset,
            limit,
        )

    listing = read_store(read)
    if as_json:
        items = [to_plain(entry) for entry in listing.items]
        write_json({"items": items, "total": listing.total, "has_more": listing.has_more})
        return
    write_table(_COLUMNS, [_cells(entry) for entry in listing.items])
    say_more(listing, offset, "entries")


class _Mailbox(msgspec.Struct, frozen=True, kw_only=True):
    state: MailboxState
    stats: MailboxStats


@mailboxes.command(
    "show",
    examples=(
        "weft mailboxes show 0196a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
        "weft mailboxes show bike-squeaky-brakes --json | jq .stats",
    ),
)
@store_option()
@click.argument("any_id", metavar="ENTRY|MAILBOX")
@json_option
def show(any_id: str, as_json: bool) -> None:
    """Show an entry, or a mailbox: its generation, and how many entries it has in each state.

    --json: {"entry": {...}}, or {"mailbox": {...}, "stats": {...}}.
    """

    async def read(store: Store) -> MailboxEntry | _Mailbox:
        entry = await store.mailboxes.load(any_id)
        if entry is not None:
            return entry
        state = await store.mailboxes.load_state(any_id)
        if state is None:
            raise NotFound("entry or mailbox", any_id)
        return _Mailbox(state=state, stats=await store.mailboxes.stats(any_id))

    found = read_store(read)
    document = _document_of(found)
    if as_json:
        write_json(document)
    else:
        write_fields({name: item for part in document.values() for name, item in part.items()})


@mailboxes.command(
    "stats",
    examples=(
        "weft mailboxes stats",
        "weft mailboxes stats bike-squeaky-brakes",
        "weft mailboxes stats --json | jq .queued",
    ),
)
@store_option()
@click.argument("mailbox", required=False)
@json_option
def show_stats(mailbox: str | None, as_json: bool) -> None:
    """Count the entries in each state, of MAILBOX or of all mailboxes.

    --json: {"queued": N, "claimed": N, ...}.
    """
    stats = to_plain(read_store(lambda store: store.mailboxes.stats(mailbox)))
    if as_json:
        write_json(stats)
        return
    columns = (Column("status", whole=True), Column("entries", right=True))
    write_table(columns, [(name, f"{count:,}") for name, count in stats.items()])


def _document_of(found: MailboxEntry | _Mailbox) -> dict[str, dict[str, Json]]:
    if isinstance(found, MailboxEntry):
        return {"entry": to_plain(found)}
    return {"mailbox": to_plain(found.state), "stats": to_plain(found.stats)}


def _cells(entry: MailboxEntry) -> tuple[str, ...]:
    return (
        entry.entry_id,
        entry.mailbox_id,
        entry.status,
        str(entry.attempt_count),
        time_text(entry.available_at),
        _payload_text(entry.payload),
        entry.claimed_by or entry.last_error or "",
    )


def _payload_text(payload: Json) -> str:
    text = msgspec.json.encode(payload).decode()
    return text if len(text) <= _PAYLOAD else f"{text[: _PAYLOAD - 1]}…"
