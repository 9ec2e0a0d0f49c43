"""`treadle threads delete` and `purge`: remove conversations for good."""

import click

from treadle.cli.confirming import confirm_deletion, yes_option
from treadle.cli.opening import change_store
from treadle.cli.options import duration, json_option, store_option
from treadle.cli.terminal.counts import counted, counted_rows
from treadle.cli.terminal.failure import Failure
from treadle.cli.terminal.help import ExampleCommand
from treadle.cli.terminal.output import time_text, write_json, write_line
from treadle.cli.terminal.progress import progress
from treadle.clock import system_clock
from treadle.core.codec import to_plain
from treadle.core.ids import is_id
from treadle.store.retention import PurgedThreads
from treadle.store.store import Store


@click.command(
    "delete",
    cls=ExampleCommand,
    examples=("treadle threads delete old-thread", "treadle threads delete --yes old-1 old-2"),
)
@store_option()
@click.argument("thread_ids", metavar="THREAD...", nargs=-1, required=True)
@yes_option
@json_option
def delete_threads(thread_ids: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Delete threads, but not their runs and mailboxes.

    --json: {"deleted": [ids], "missing": [ids]}.
    """
    if not yes:
        confirm_deletion(counted(len(thread_ids), "thread"))

    async def delete(store: Store) -> dict[str, list[str]]:
        result: dict[str, list[str]] = {"deleted": [], "missing": []}
        for thread_id in thread_ids:
            was_there = is_id(thread_id) and await store.threads.delete(thread_id)
            result["deleted" if was_there else "missing"].append(thread_id)
        return result

    result = change_store(delete)
    if as_json:
        write_json(result)
    else:
        write_line(f"deleted {counted(len(result['deleted']), 'thread')}")
    if result["missing"]:
        raise Failure(f"there is no thread {', '.join(map(repr, result['missing']))}")


@click.command(
    "purge",
    cls=ExampleCommand,
    examples=(
        "treadle threads purge --older-than 365d",
        "treadle threads purge --older-than 30d --owner user-17 --yes",
    ),
)
@store_option()
@click.option(
    "--older-than",
    type=duration,
    metavar="DURATION",
    required=True,
    help="Only threads whose last change is at least this long ago: 12h, 90d.",
)
@click.option("--owner", metavar="ID", help="Only threads of this owner.")
@yes_option
@json_option
def purge_threads(older_than: int, owner: str | None, yes: bool, as_json: bool) -> None:
    """Delete conversations that have not changed for a long time.

    Their runs and mailboxes are deleted with them, dead letters included. A thread stays if its
    mailbox has entries that have not ended, if one of its runs is running or waiting, or if one of
    its child threads stays. Documents stay. If it is interrupted, run it again.

    --json: {"threads", "runs", "mailboxes", "entries"}, the numbers deleted, and "active", that of
    the old threads that stay. If there are any, "unreadable", damaged records for which some stay.
    """
    until = max(system_clock() - older_than, 0)
    if not yes:
        whose = "all threads" if owner is None else f"the threads of {owner!r}"
        confirm_deletion(f"{whose} that were changed last before {time_text(until)}")

    async def work(store: Store) -> PurgedThreads:
        with progress("purging", None, unit="threads") as bar:
            return await store.purge_threads(
                until, resource_id=owner, report=lambda _: bar.advance(1)
            )

    purged = to_plain(change_store(work))
    if as_json:
        write_json(purged)
        return
    write_line(f"purged {counted_rows(purged)}")
    if purged["active"]:
        write_line(f"left {counted(purged['active'], 'old thread')}: work waits there, or below")
    for name in purged.get("unreadable", ()):
        write_line(f"{name} cannot be read, so old threads stay for it; see `treadle doctor`")
