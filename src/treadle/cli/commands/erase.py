"""`treadle erase`: delete everything of one user, and what that has left in files."""

import click

from treadle.cli.confirming import confirm_deletion, yes_option
from treadle.cli.opening import change_store, read_store
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
    examples=(
        "treadle erase --owner anna",
        "treadle erase --owner anna --dry-run",
        "treadle erase --owner anna --yes --json",
    ),
)
@store_option()
@click.option("--owner", metavar="ID", required=True, help="The owner, as threads name it.")
@click.option(
    "--thread-documents",
    is_flag=True,
    help="Also delete the documents whose keys begin with the id of one of these threads. Use it "
    "only if no user can have the id of a thread.",
)
@click.option("--dry-run", is_flag=True, help="Delete nothing; say what would be deleted.")
@yes_option
@json_option
def erase(owner: str, thread_documents: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Delete everything of one user.

    These are the threads of the owner, and their descendants that nobody else owns; the runs and
    mailboxes of these; and the documents whose keys begin with the owner's id. Then the store's
    files are cleaned of what was deleted. If it is interrupted, run it again.

    Documents whose keys begin with the id of a deleted thread stay, and the command names this id:
    it may also be that of another user.

    --json: {"threads", "runs", "mailboxes", "entries", "documents"}, the numbers deleted; and if
    there are any, "left", the ids of these threads, and "unreadable", damaged records that stay.
    """

    def count() -> Erased:
        return read_store(
            lambda store: store.erase(owner, thread_documents=thread_documents, dry_run=True)
        )

    if dry_run:
        _write(count(), "would erase", "would leave", as_json=as_json)
        return
    if not yes:
        confirm_deletion(f"everything of {owner!r}", lambda: counted_rows(to_plain(count())))

    async def work(store: Store) -> Erased:
        with progress("erasing", None, unit="threads") as bar:
            return await store.erase(
                owner, thread_documents=thread_documents, report=lambda _: bar.advance(1)
            )

    _write(change_store(work), "erased", "left", as_json=as_json)


def _write(erased: Erased, done: str, left: str, *, as_json: bool) -> None:
    if as_json:
        write_json(to_plain(erased))
        return
    write_line(f"{done} {counted_rows(to_plain(erased))}")
    for thread_id in erased.left:
        write_line(f"{left} the documents whose keys begin with {thread_id!r}, a thread of theirs")
    for name in erased.unreadable:
        write_line(f"{left} {name}, which cannot be read and may be theirs; see `treadle doctor`")
