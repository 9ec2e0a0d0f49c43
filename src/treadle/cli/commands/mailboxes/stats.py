"""`treadle mailboxes stats`: what waits, what is held, and what fails."""

import click

from treadle.cli.opening import read_store
from treadle.cli.options import json_option, store_option
from treadle.cli.terminal.help import ExampleCommand
from treadle.cli.terminal.output import time_text, write_json, write_line, write_table
from treadle.cli.terminal.tables import Column
from treadle.core.codec import to_plain
from treadle.core.mailbox_reports import EntryReport

_STATUSES = (Column("status", whole=True), Column("entries", right=True))
_WAITING = (Column("of these", whole=True), Column("entries", right=True), Column("since"))
_ERRORS = (Column("entries", right=True), Column("error"))


@click.command(
    "stats",
    cls=ExampleCommand,
    examples=(
        "treadle mailboxes stats",
        "treadle mailboxes stats bike-squeaky-brakes",
        "treadle mailboxes stats --json | jq .retrying",
    ),
)
@store_option()
@click.argument("mailbox", required=False)
@json_option
def stats(mailbox: str | None, as_json: bool) -> None:
    """Count the entries in each status, in MAILBOX or in all mailboxes.

    Below are the queued entries that are due, since when, those that are scheduled for later, wait
    for a retry or are in a paused mailbox (these count nowhere else), the expired leases, and
    the most frequent errors, if there are any.

    --json: {"queued": N, "claimed": N, ..., "due": N, "oldest_due_at": T, "errors": [...]}.
    """
    report = read_store(lambda store: store.mailboxes.report(mailbox))
    counts = to_plain(report.counts)
    if as_json:
        rest = {name: value for name, value in to_plain(report).items() if name != "counts"}
        write_json({**counts, **rest})
        return
    write_table(_STATUSES, [(name, f"{count:,}") for name, count in counts.items()])
    if waiting := _waiting(report):
        write_line()
        write_table(_WAITING, waiting)
    if report.errors:
        write_line()
        write_table(_ERRORS, [(f"{each.count:,}", each.error) for each in report.errors])


def _waiting(report: EntryReport) -> list[tuple[str, str, str]]:
    """The rows of what is not empty."""
    rows = (
        ("due", report.due, time_text(report.oldest_due_at)),
        ("scheduled for later", report.scheduled, ""),
        ("waiting for a retry", report.retrying, ""),
        ("in a paused mailbox", report.paused, ""),
        ("lease has expired", report.expired, ""),
    )
    return [(name, f"{count:,}", since) for name, count, since in rows if count]
