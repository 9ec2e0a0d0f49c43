"""`treadle backup`: copy a database file while the store is in use."""

import re
from pathlib import Path

import click

from treadle.backends.sqlite.backup import snapshot
from treadle.backends.urls import without_password
from treadle.cli.opening import check_present, database_of
from treadle.cli.options import chosen_store, json_option, store_option
from treadle.cli.terminal.counts import counted, counted_rows
from treadle.cli.terminal.help import ExampleCommand
from treadle.cli.terminal.output import write_json, write_line
from treadle.cli.terminal.progress import progress
from treadle.core.codec import to_plain

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")  # two letters at least: C: is a drive


@click.command(
    "backup",
    cls=ExampleCommand,
    examples=(
        "treadle backup agents-monday.db --store sqlite:///agents.db",
        "treadle threads list --store sqlite:///agents-monday.db    # the copy is a store too",
    ),
)
@store_option()
@click.argument("target", metavar="TARGET")
@json_option
def backup(target: str, as_json: bool) -> None:
    """Copy a database file while the store is in use.

    The copy has the store as it is at one moment; others may go on writing. Before it appears at
    TARGET, its integrity and the numbers of its rows are checked. An existing TARGET is never
    overwritten. For other kinds of stores, use `treadle copy`.

    --json: {"target", "pages", "bytes", "rows": {...}}.
    """
    url = chosen_store()
    database = database_of(url)
    if database is None:
        shown = without_password(url)
        raise click.UsageError(
            f"{shown} is not a database file; copy it with `treadle copy {shown} TARGET`, "
            "or a PostgreSQL database with its own tools, such as pg_dump"
        )
    if target == "-":
        raise click.UsageError("a database file cannot be written to standard output; name a file")
    path = _path_of(target)
    check_present(url)
    with (
        snapshot(database) as source,
        progress(f"copying {without_password(url)}", source.pages, unit="pages") as bar,
    ):
        created = source.copy_to(path, bar.advance)
    if as_json:
        write_json({"target": str(path), **to_plain(created)})
    else:
        write_line(f"{path} holds {counted_rows(created.rows)}")
        write_line(f"{counted(created.bytes, 'byte')}, checked")


def _path_of(target: str) -> Path:
    is_url = _SCHEME.match(target) is not None
    path = database_of(target) if is_url else Path(target)
    if path is None:
        shown = without_password(target)
        raise click.UsageError(
            f"{shown} is not a file; to copy into another store, use `treadle copy`"
        )
    return path
