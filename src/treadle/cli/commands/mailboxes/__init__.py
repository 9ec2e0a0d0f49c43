"""`treadle mailboxes`: list and show mailboxes, and the commands that change them."""

from typing import get_args

import click
import msgspec

from treadle.cli.commands.mailboxes.deletions import delete, purge
from treadle.cli.commands.mailboxes.entries import cancel, list_entries, requeue
from treadle.cli.commands.mailboxes.stats import stats
from treadle.cli.commands.mailboxes.stopping import interrupt, pause, resume
from treadle.cli.commands.mailboxes.why import why
from treadle.cli.opening import read_store
from treadle.cli.options import (
    after_option,
    direction,
    json_option,
    limit_option,
    order_option,
    store_option,
)
from treadle.cli.paging import write_found
from treadle.cli.terminal.help import ExampleGroup
from treadle.cli.terminal.output import time_text, write_fields, write_json
from treadle.cli.terminal.tables import Column
from treadle.clock import system_clock
from treadle.core.codec import Json, to_plain
from treadle.core.mailbox_pauses import is_paused
from treadle.core.mailbox_queries import (
    MailboxKey,
    MailboxSummary,
    MailboxSummaryPage,
)
from treadle.core.mailboxes import (
    MailboxEntry,
    MailboxState,
    MailboxStats,
)
from treadle.core.pages import Order
from treadle.errors import NotFound
from treadle.store.store import Store

_COLUMNS = (
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


for _command in (
    list_entries,
    why,
    stats,
    interrupt,
    pause,
    resume,
    requeue,
    cancel,
    purge,
    delete,
):
    mailboxes.add_command(_command)


def _document_of(found: MailboxEntry | _Mailbox) -> dict[str, dict[str, Json]]:
    if isinstance(found, MailboxEntry):
        return {"entry": to_plain(found)}
    return {"mailbox": to_plain(found.state), "stats": to_plain(found.stats)}


def _cells(summary: MailboxSummary) -> tuple[str, ...]:
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
