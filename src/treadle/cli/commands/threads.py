"""`treadle threads`: list, show, follow, cut, fork and delete conversations."""

import sys
from contextlib import aclosing
from functools import partial

import click
import msgspec
from msgspec import UNSET

from treadle.cli.concurrency import map_in_order
from treadle.cli.following import follow_thread
from treadle.cli.opening import change_store, read_store
from treadle.cli.options import json_option, limit_option, offset_option, store_option
from treadle.cli.paging import read_page, write_page
from treadle.cli.terminal.counts import counted
from treadle.cli.terminal.failure import Failure, describe
from treadle.cli.terminal.help import ExampleGroup
from treadle.cli.terminal.input import parse_json
from treadle.cli.terminal.notes import write_note
from treadle.cli.terminal.output import time_text, write_json, write_line
from treadle.cli.terminal.tables import Column, beginning
from treadle.cli.terminal.transcript import write_transcript
from treadle.core.codec import Json, to_plain
from treadle.core.edits import Truncated
from treadle.core.message_times import padded, trimmed
from treadle.core.pages import Page
from treadle.core.threads import Committed, ThreadHead
from treadle.errors import CorruptRecord, NotFound
from treadle.store.store import Store

_COLUMNS = (
    Column("thread", whole=True),
    Column("messages", right=True),
    Column("version", right=True),
    Column("updated", whole=True),
    Column("resource"),
    Column("begins"),
)
_CONCURRENCY = 16


@click.group(
    "threads",
    cls=ExampleGroup,
    examples=("treadle threads list", "treadle threads show bike-squeaky-brakes"),
)
def threads() -> None:
    """Look at conversations; cut, fork and delete them."""


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    thread_id: str
    head: ThreadHead | None
    error: str = ""


@threads.command(
    "list",
    examples=(
        "treadle threads list",
        "treadle threads list --resource user-17 --limit 10",
        "treadle threads list --json | jq -r '.items[].id'",
    ),
)
@store_option()
@click.option("--resource", metavar="ID", help="Only threads of this owner.")
@click.option("--parent", metavar="ID", help="Only children of this thread.")
@offset_option
@limit_option
@json_option
def list_threads(
    resource: str | None, parent: str | None, offset: int, limit: int, as_json: bool
) -> None:
    """List threads, ordered by id.

    --json: {"items": [{"id", "version", "message_count", ...}], "total", "has_more"}.
    """

    async def read(store: Store) -> Page[_Row]:
        listing = partial(store.threads.list, resource_id=resource, parent_thread_id=parent)
        ids = await read_page(listing, offset, limit)
        async with aclosing(
            map_in_order(partial(_load_row, store), ids.items, _CONCURRENCY)
        ) as loaded:
            rows = tuple([row async for row in loaded])
        return Page(items=rows, total=ids.total, has_more=ids.has_more)

    page = read_store(read)
    write_page(page, offset, "threads", _COLUMNS, _cells, as_json=as_json, plain=_summarize)
    _report_unreadable(page)


@threads.command(
    "show",
    examples=(
        "treadle threads show bike-squeaky-brakes",
        "treadle threads show bike-squeaky-brakes --last 5",
        "treadle threads show bike-squeaky-brakes --json | jq '.thread.messages | length'",
    ),
)
@store_option()
@click.argument("thread_id", metavar="THREAD")
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the last N messages.")
@json_option
def show_thread(thread_id: str, last: int | None, as_json: bool) -> None:
    """Show a conversation.

    --json: {"thread": {...}, "version": N, "message_times": [...]}.
    """
    head = read_store(lambda store: store.threads.load(thread_id))
    if head is None:
        raise NotFound("thread", thread_id)
    if as_json:
        write_json(to_plain(_cut(head, last)))
    else:
        write_transcript(head, last)


@threads.command(
    "delete",
    examples=("treadle threads delete old-thread", "treadle threads delete --yes old-1 old-2"),
)
@store_option()
@click.argument("thread_ids", metavar="THREAD...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
def delete_threads(thread_ids: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Delete threads, but not their runs and mailboxes.

    --json: {"deleted": [ids], "missing": [ids]}.
    """
    if not yes:
        _confirm(counted(len(thread_ids), "thread"))

    async def delete(store: Store) -> dict[str, list[str]]:
        result: dict[str, list[str]] = {"deleted": [], "missing": []}
        for thread_id in thread_ids:
            was_there = await store.threads.delete(thread_id)
            result["deleted" if was_there else "missing"].append(thread_id)
        return result

    result = change_store(delete)
    if as_json:
        write_json(result)
    else:
        write_line(f"deleted {counted(len(result['deleted']), 'thread')}")
    if result["missing"]:
        raise Failure(f"there is no thread {', '.join(map(repr, result['missing']))}")


@threads.command(
    "truncate",
    examples=(
        "treadle threads truncate bike-squeaky-brakes --drop 2",
        "treadle threads truncate bike-squeaky-brakes --keep 5 --yes --json | jq '.removed'",
    ),
)
@store_option()
@click.argument("thread_id", metavar="THREAD")
@click.option("--keep", type=int, metavar="N", help="Only the first N messages stay.")
@click.option("--drop", type=int, metavar="N", help="The last N messages go.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
def truncate_thread(
    thread_id: str, keep: int | None, drop: int | None, yes: bool, as_json: bool
) -> None:
    """Remove the last messages of a conversation; state, patches and runs stay.

    --json: {"version": N, "removed": [messages]}.
    """
    if (keep is None) == (drop is None):
        raise click.UsageError("give either --keep or --drop")
    if not yes:
        _confirm(f"the last messages of thread {thread_id!r}")

    async def truncate(store: Store) -> Truncated:
        return await store.threads.truncate(thread_id, keep=keep, drop=drop)

    truncated = change_store(truncate)
    if as_json:
        write_json(to_plain(truncated))
        return
    removed = counted(len(truncated.removed), "message")
    write_line(f"removed {removed}; the thread is at version {truncated.version}")


@threads.command(
    "fork",
    examples=(
        "treadle threads fork bike-squeaky-brakes second-try --at 3",
        "treadle threads fork bike-squeaky-brakes second-try --at 3 --state '{}'",
        "treadle threads fork bike-squeaky-brakes copy --json",
    ),
)
@store_option()
@click.argument("source", metavar="THREAD")
@click.argument("new", metavar="NEW")
@click.option("--at", type=int, metavar="N", help="Copy only the first N messages.")
@click.option("--state", metavar="JSON", help="The state of the new thread.")
@click.option("--resource", metavar="ID", help="The owner of the new thread.")
@json_option
def fork_thread(
    source: str,
    new: str,
    at: int | None,
    state: str | None,
    resource: str | None,
    as_json: bool,
) -> None:
    """Create the thread NEW from the first messages of another one.

    --json: {"id": "...", "version": 0}.
    """
    value = UNSET if state is None else parse_json(state, "state")
    owner = UNSET if resource is None else resource

    async def fork(store: Store) -> Committed:
        return await store.threads.fork(source, new, at=at, state=value, resource_id=owner)

    forked = change_store(fork)
    if as_json:
        write_json({"id": new, "version": forked.version})
    else:
        write_line(f"forked thread {source!r} as {new!r}")


threads.add_command(follow_thread)


def _confirm(what: str) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError(f"deleting {what} needs --yes when there is no terminal to ask on")
    if not click.confirm(f"Delete {what}?", err=True):
        raise Failure("nothing was deleted")


async def _load_row(store: Store, thread_id: str) -> _Row:
    try:
        return _Row(thread_id=thread_id, head=await store.threads.load(thread_id))
    except CorruptRecord as error:
        return _Row(thread_id=thread_id, head=None, error=describe(error))


def _summarize(row: _Row) -> dict[str, Json]:
    if row.head is None:
        return {"id": row.thread_id, "error": row.error or "it was deleted while it was listed"}
    thread = row.head.thread
    return {
        "id": thread.id,
        "version": row.head.version,
        "message_count": len(thread.messages),
        "resource_id": thread.resource_id,
        "parent_thread_id": thread.parent_thread_id,
        "metadata": to_plain(thread.metadata),
    }


def _cells(row: _Row) -> tuple[str, ...]:
    if row.head is None:
        return row.thread_id, "", "", "", "", row.error or "(deleted while it was listed)"
    thread = row.head.thread
    return (
        thread.id,
        str(len(thread.messages)),
        str(row.head.version),
        time_text(thread.metadata.updated_at),
        thread.resource_id or "",
        _beginning(row.head),
    )


def _beginning(head: ThreadHead) -> str:
    for message in head.thread.messages:
        if message.role == "user":
            content = message.content
            text = content if isinstance(content, str) else msgspec.json.encode(content).decode()
            return beginning(text)
    return ""


def _cut(head: ThreadHead, last: int | None) -> ThreadHead:
    if last is None:
        return head
    messages = head.thread.messages
    times = padded(head.message_times, len(messages))[-last:]
    thread = msgspec.structs.replace(head.thread, messages=messages[-last:])
    return msgspec.structs.replace(head, thread=thread, message_times=trimmed(times))


def _report_unreadable(page: Page[_Row]) -> None:
    errors = [row.error for row in page.items if row.error]
    for error in errors[:-1]:
        write_note(f"treadle: {error}")
    if errors:
        raise Failure(errors[-1])
