"""`treadle threads`: list, show, update, truncate and fork conversations."""

from typing import get_args

import click
import msgspec
from msgspec import UNSET

from treadle.cli.commands.threads.deletions import delete_threads, purge_threads
from treadle.cli.commands.threads.following import follow_thread
from treadle.cli.confirming import confirm_deletion, yes_option
from treadle.cli.opening import change_store, read_store
from treadle.cli.options import (
    after_option,
    direction,
    json_option,
    limit_option,
    order_option,
    store_option,
)
from treadle.cli.paging import write_found
from treadle.cli.terminal.counts import counted
from treadle.cli.terminal.failure import Failure
from treadle.cli.terminal.help import ExampleGroup
from treadle.cli.terminal.output import time_text, write_json, write_line
from treadle.cli.terminal.tables import Column, beginning
from treadle.cli.terminal.transcript import message_text, write_transcript
from treadle.core.codec import to_plain
from treadle.core.message_times import padded, trimmed
from treadle.core.pages import Order
from treadle.core.thread_edits import Truncated
from treadle.core.thread_summaries import ThreadKey, ThreadSummary, ThreadSummaryPage
from treadle.core.threads import Committed, ThreadHead
from treadle.errors import InvalidValue, NotFound
from treadle.integrations.strict_json import read_json
from treadle.store.store import Store

_COLUMNS = (
    Column("thread", whole=True),
    Column("messages", right=True),
    Column("version", right=True),
    Column("updated", whole=True),
    Column("owner"),
    Column("title"),
)
_INBOX_COLUMNS = (*_COLUMNS, Column("last message"))


@click.group(
    "threads",
    cls=ExampleGroup,
    examples=("treadle threads list", "treadle threads show bike-squeaky-brakes"),
)
def threads() -> None:
    """Look at conversations, and change them."""


@threads.command(
    "list",
    examples=(
        "treadle threads list",
        "treadle threads list --by updated_at --owner user-17 --limit 10",
        "treadle threads list --by updated_at --last-message",
        "treadle threads list --roots --json | jq -r '.items[].id'",
    ),
)
@store_option()
@click.option(
    "--by",
    type=click.Choice(get_args(ThreadKey)),
    default="id",
    show_default=True,
    help="Sort by the id, or by a time.",
)
@order_option
@click.option("--owner", metavar="ID", help="Only threads of this owner.")
@click.option("--parent", metavar="ID", help="Only children of this thread.")
@click.option("--roots", is_flag=True, help="Only threads without a parent.")
@click.option("--last-message", is_flag=True, help="Show the last message of each thread.")
@after_option
@limit_option
@json_option
def list_threads(
    by: ThreadKey,
    order: Order | None,
    owner: str | None,
    parent: str | None,
    roots: bool,
    last_message: bool,
    after: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List threads, by id or the newest first.

    --json: {"items": [{"id", "version", "message_count", ...}], "next_cursor"}.
    """

    async def read(store: Store) -> ThreadSummaryPage:
        return await store.threads.list_summaries(
            by=by,
            order=direction(order, by),
            after=after,
            limit=limit,
            resource_id=owner,
            parent_thread_id=parent,
            roots=roots,
            with_last_message=last_message,
        )

    columns, cells = (_INBOX_COLUMNS, _inbox_cells) if last_message else (_COLUMNS, _cells)
    write_found(read_store(read), columns, cells, as_json=as_json, plain=to_plain)


@threads.command(
    "show",
    examples=(
        "treadle threads show bike-squeaky-brakes",
        "treadle threads show bike-squeaky-brakes --last 5",
        "treadle threads show bike-squeaky-brakes --version 12",
        "treadle threads show bike-squeaky-brakes --json | jq '.thread.messages | length'",
    ),
)
@store_option()
@click.argument("thread_id", metavar="THREAD")
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the last N messages.")
@click.option("--version", type=click.IntRange(min=0), metavar="N", help="As it was at a version.")
@json_option
def show_thread(thread_id: str, last: int | None, version: int | None, as_json: bool) -> None:
    """Show a conversation.

    --json: {"thread": {...}, "version": N, "message_times": [...]}.
    """

    async def read(store: Store) -> tuple[bool, ThreadHead | None]:
        head = await store.threads.load(thread_id, version=version)
        return head is not None or await store.threads.summary(thread_id) is not None, head

    exists, head = read_store(read)
    if not exists:
        raise NotFound("thread", thread_id)
    if head is None:
        raise Failure(f"version {version} of thread {thread_id!r} is not known")
    if as_json:
        write_json(to_plain(_cut(head, last)))
    else:
        write_transcript(head, last)


@threads.command(
    "update",
    examples=(
        "treadle threads update bike-squeaky-brakes --title 'Squeaky brakes'",
        "treadle threads update bike-squeaky-brakes --owner user-17 --expected 4",
        """treadle threads update bike-squeaky-brakes --metadata '{"draft": null}'""",
    ),
)
@store_option()
@click.argument("thread_id", metavar="THREAD")
@click.option("--title", metavar="TEXT", help="The title, a key of the metadata.")
@click.option("--metadata", metavar="JSON", help="A JSON merge patch; null removes a key.")
@click.option("--owner", metavar="ID", help="The new owner; an empty text removes it.")
@click.option("--expected", type=int, metavar="N", help="Only if the thread is at this version.")
@json_option
def update_thread(
    thread_id: str,
    title: str | None,
    metadata: str | None,
    owner: str | None,
    expected: int | None,
    as_json: bool,
) -> None:
    """Change a thread's title, metadata or owner.

    Its messages and its version stay.

    --json: the summary of the thread.
    """
    patch = {} if metadata is None else read_json(metadata, "metadata")
    if not isinstance(patch, dict):
        raise InvalidValue("metadata", "a merge patch is a JSON object")
    if title is not None:
        patch = {**patch, "title": title}
    if not patch and owner is None:
        raise click.UsageError("give --title, --metadata or --owner")

    async def update(store: Store) -> ThreadSummary | None:
        await store.threads.update(
            thread_id,
            metadata=patch or UNSET,
            resource_id=UNSET if owner is None else owner or None,
            expected=expected,
        )
        return await store.threads.summary(thread_id)

    summary = change_store(update)
    if summary is None:
        raise NotFound("thread", thread_id)
    if as_json:
        write_json(to_plain(summary))
    else:
        write_line(f"updated thread {thread_id!r}")


@threads.command(
    "truncate",
    examples=(
        "treadle threads truncate bike-squeaky-brakes --drop 2",
        "treadle threads truncate bike-squeaky-brakes --keep 5 --yes --json | jq '.removed'",
    ),
)
@store_option()
@click.argument("thread_id", metavar="THREAD")
@click.option("--keep", type=int, metavar="N", help="Keep only the first N messages.")
@click.option("--drop", type=int, metavar="N", help="Remove the last N messages.")
@yes_option
@json_option
def truncate_thread(
    thread_id: str, keep: int | None, drop: int | None, yes: bool, as_json: bool
) -> None:
    """Remove the last messages of a conversation.

    Its state, its patches and its runs stay.

    --json: {"version": N, "removed": [messages]}.
    """
    if (keep is None) == (drop is None):
        raise click.UsageError("give either --keep or --drop")
    if not yes:
        confirm_deletion(f"the last messages of thread {thread_id!r}")

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
@click.option("--owner", metavar="ID", help="The owner of the new thread.")
@json_option
def fork_thread(
    source: str,
    new: str,
    at: int | None,
    state: str | None,
    owner: str | None,
    as_json: bool,
) -> None:
    """Create the thread NEW from the first messages of another one.

    --json: {"id": "...", "version": 0}.
    """
    value = UNSET if state is None else read_json(state, "state")
    owned_by = UNSET if owner is None else owner

    async def fork(store: Store) -> Committed:
        return await store.threads.fork(source, new, at=at, state=value, resource_id=owned_by)

    forked = change_store(fork)
    if as_json:
        write_json({"id": new, "version": forked.version})
    else:
        write_line(f"forked thread {source!r} as {new!r}")


for _command in (follow_thread, delete_threads, purge_threads):
    threads.add_command(_command)


def _cells(summary: ThreadSummary) -> tuple[str, ...]:
    title = summary.metadata.extra.get("title")
    return (
        summary.id,
        str(summary.message_count),
        str(summary.version),
        time_text(summary.metadata.updated_at),
        summary.resource_id or "",
        title if isinstance(title, str) else "",
    )


def _inbox_cells(summary: ThreadSummary) -> tuple[str, ...]:
    last = summary.last_message
    return (*_cells(summary), "" if last is None else beginning(message_text(last.message), 200))


def _cut(head: ThreadHead, last: int | None) -> ThreadHead:
    if last is None:
        return head
    messages = head.thread.messages
    times = padded(head.message_times, len(messages))[-last:]
    thread = msgspec.structs.replace(head.thread, messages=messages[-last:])
    return msgspec.structs.replace(head, thread=thread, message_times=trimmed(times))
