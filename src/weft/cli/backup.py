"""`weft backup`: a copy of a database file while the store is in use."""

from pathlib import Path

import click

from weft.backends.postgres.location import without_password
from weft.backends.registry import split_url, sqlite_path
from weft.backends.sqlite.backup import snapshot
from weft.cli.doctor import rows_text
from weft.cli.examples import ExampleCommand
from weft.cli.opening import check_present, chosen_store, database_of, store_option
from weft.cli.output import counted, json_option, write_json, write_line
from weft.cli.progress import progress
from weft.core.codec import to_plain


@click.command(
    "backup",
    cls=ExampleCommand,
    examples=(
        "weft backup agents-monday.db --store sqlite:///agents.db",
        "weft threads list --store sqlite:///agents-monday.db      a copy is a store",
    ),
)
@store_option()
@click.argument("target", metavar="TARGET")
@json_option
def backup(target: str, as_json: bool) -> None:
    """Copy the store's database file to TARGET, as it is at this moment; others may go on writing.

    The copy is checked before it appears at TARGET: that it is sound, and has as many rows as the
    store. What is at TARGET already is never overwritten. For stores of other kinds, and for copies
    of another kind, there is `weft copy`.

    --json: {"target", "pages", "bytes", "rows": {...}}.
    """
    url = chosen_store()
    database = database_of(url)
    if database is None:
        shown = without_password(url)
        raise click.UsageError(
            f"{shown} is no database file; use `weft copy {shown} {without_password(target)}`, "
            "or on PostgreSQL its own tools, such as pg_dump"
        )
    path = _path_of(target)
    check_present(url)
    with (
        snapshot(database) as source,
        progress(f"copying {without_password(url)}", source.pages, unit="pages") as bar,
    ):
        made = source.copy_to(path, bar.advance)
    if as_json:
        write_json({"target": str(path), **to_plain(made)})
    else:
        write_line(f"{path} holds {rows_text(made.rows)}")
        write_line(f"{counted(made.bytes, 'byte')}, checked")


def _path_of(target: str) -> Path:
    scheme, rest = split_url(target)
    match scheme:
        case "file":
            return Path(rest.removeprefix("//"))
        case "sqlite":
            return sqlite_path(rest)
        case _:
            shown = without_password(target)
            raise click.UsageError(f"{shown} is no file; for stores there is `weft copy`")
