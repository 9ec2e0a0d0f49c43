"""`weft migrate`: the schema of a database, brought up to date or told."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

import weft
from weft.backends.registry import find_backend
from weft.backends.sql.migrations import Migration, MigrationState
from weft.backends.sqlite.schema import migration_states, missing_migrations
from weft.cli.examples import ExampleCommand
from weft.cli.opening import chosen_store, database_of, folder_of, store_option
from weft.cli.output import counted, json_option, time_text, write_json, write_line, write_table
from weft.cli.tables import Column
from weft.core.clock import system_clock
from weft.core.codec import to_plain


@click.command(
    "migrate",
    cls=ExampleCommand,
    examples=(
        "weft migrate --store sqlite:///agents.db",
        "weft migrate --store sqlite:///agents.db --status",
        "weft migrate --store sqlite:///agents.db --sql > to-be-read-first.sql",
    ),
)
@store_option()
@click.option("--status", "wants_status", is_flag=True, help="List all migrations; change nothing.")
@click.option("--sql", "wants_sql", is_flag=True, help="Write the SQL that would be run; run none.")
@json_option
def migrate(wants_status: bool, wants_sql: bool, as_json: bool) -> None:
    """Bring the schema of the store's database up to date: all that it lacks, or nothing.

    A database file is made if it is not there. Opening it does the same by itself, so this is for
    those who want to choose the moment, or to read what will be done. Folders have no schema.

    --json: {"migrations": [{"number", "name", "applied_at"}], "applied": [...]}, the numbers of
    those that were applied now; with --sql: {"sql"}.
    """
    if wants_status and wants_sql:
        raise click.UsageError("give either --status or --sql")
    url = chosen_store()
    find_backend(url, system_clock, "full")  # a URL that means nothing is told
    database = database_of(url)
    if database is None:
        _tell_none(url, as_json)
    elif wants_sql:
        _write_sql(missing_migrations(str(database)), as_json)
    elif wants_status:
        _write_status(migration_states(str(database)), as_json)
    else:
        _migrate(url, database, as_json)


def _tell_none(url: str, as_json: bool) -> None:
    if as_json:
        write_json({"migrations": [], "applied": []})
    else:
        kind = "a folder" if folder_of(url) is not None else "no database"
        write_line(f"{url} is {kind}; there is nothing to migrate")


def _write_sql(missing: Sequence[Migration], as_json: bool) -> None:
    text = "\n".join(f"-- {each.label}\n\n{each.text.strip()}\n" for each in missing)
    if as_json:
        write_json({"sql": text})
    elif missing:
        write_line(text.rstrip("\n"))


def _write_status(states: Sequence[MigrationState], as_json: bool) -> None:
    if as_json:
        write_json({"migrations": [to_plain(state) for state in states], "applied": []})
        return
    columns = (Column("number", right=True), Column("name"), Column("applied"))
    rows = [(str(state.number), state.name, _applied(state)) for state in states]
    write_table(columns, rows)


def _applied(state: MigrationState) -> str:
    return "pending" if state.applied_at is None else time_text(state.applied_at)


def _migrate(url: str, database: Path, as_json: bool) -> None:
    missing = missing_migrations(str(database))
    asyncio.run(_open(url))
    states = migration_states(str(database))
    if as_json:
        plain = [to_plain(state) for state in states]
        write_json({"migrations": plain, "applied": [each.number for each in missing]})
        return
    for each in missing:
        write_line(f"applied {each.label}")
    write_line(f"{url} is up to date: {counted(len(states), 'migration')}")


async def _open(url: str) -> None:
    """Opening a database file brings its schema up to date."""
    async with weft.open_store(url):
        pass
