"""`treadle migrate`: bring the schema of a database up to date, or show what that would do."""

from collections.abc import Sequence

import click

from treadle.backends.registry import find_backend
from treadle.backends.schemas import Schema, find_schema
from treadle.backends.sql.migrations import MigrationState
from treadle.backends.urls import without_password
from treadle.cli.opening import folder_of
from treadle.cli.options import chosen_store, json_option, store_option
from treadle.cli.terminal.counts import counted
from treadle.cli.terminal.help import ExampleCommand
from treadle.cli.terminal.output import time_text, write_json, write_line, write_table
from treadle.cli.terminal.tables import Column
from treadle.clock import system_clock
from treadle.core.codec import to_plain


@click.command(
    "migrate",
    cls=ExampleCommand,
    examples=(
        "treadle migrate --store postgresql://treadle@db.example/agents",
        "treadle migrate --store postgresql://treadle@db.example/agents --contract",
        "treadle migrate --store sqlite:///agents.db --status",
        "treadle migrate --store sqlite:///agents.db --sql > to-be-read-first.sql",
    ),
)
@store_option()
@click.option("--status", "wants_status", is_flag=True, help="List all migrations; apply none.")
@click.option(
    "--sql",
    "wants_sql",
    is_flag=True,
    help="Write the missing migrations' SQL; run none.",
)
@click.option(
    "--contract",
    is_flag=True,
    help="On PostgreSQL: also remove what only an older Treadle uses. SQLite always does.",
)
@json_option
def migrate(wants_status: bool, wants_sql: bool, contract: bool, as_json: bool) -> None:
    """Bring the schema of a database up to date.

    All missing migrations are applied, or none. On PostgreSQL, run this before you start a newer
    Treadle: it adds what the newer one needs, and the older one still works. Once no process runs
    the older one, --contract removes what only that has used.

    A database file is created if it does not exist. Opening it applies the migrations too, so this
    command is for choosing the moment, or for reading the SQL first. Folders have no schema.

    --json: {"migrations": [{"number", "name", "applied_at"}], "applied": [numbers of those
    that were applied now]}; with --sql: {"sql"}.
    """
    if wants_status and wants_sql:
        raise click.UsageError("give either --status or --sql, not both")
    url = chosen_store()
    find_backend(url, system_clock, "full")  # an unknown URL is an error
    schema = find_schema(url)
    if schema is None:
        _write_none(url, as_json)
    elif wants_sql:
        _write_sql(schema.script(contract=contract), as_json)
    elif wants_status:
        _write_status(schema.states(), as_json)
    else:
        _migrate(url, schema, contract, as_json)


def _write_none(url: str, as_json: bool) -> None:
    if as_json:
        write_json({"migrations": [], "applied": []})
    else:
        kind = "a folder" if folder_of(url) is not None else "not a database"
        write_line(f"{url} is {kind}; there is nothing to migrate")


def _write_sql(text: str, as_json: bool) -> None:
    if as_json:
        write_json({"sql": text})
    elif text:
        write_line(text.rstrip("\n"))


def _write_status(states: Sequence[MigrationState], as_json: bool) -> None:
    if as_json:
        write_json({"migrations": [to_plain(state) for state in states], "applied": []})
        return
    columns = (Column("number", right=True), Column("name"), Column("applied"))
    rows = [(str(state.number), state.name, _applied(state)) for state in states]
    write_table(columns, rows)


def _applied(state: MigrationState) -> str:
    if state.applied_at is not None:
        return time_text(state.applied_at)
    return "pending, with --contract" if state.contracts else "pending"


def _migrate(url: str, schema: Schema, contract: bool, as_json: bool) -> None:
    applied = schema.apply(contract=contract)
    states = schema.states()
    if as_json:
        write_json({"migrations": [to_plain(state) for state in states], "applied": list(applied)})
        return
    names = {state.number: f"{state.number:04}_{state.name}" for state in states}
    for number in applied:
        write_line(f"applied {names[number]}")
    write_line(f"{without_password(url)} is up to date: {counted(len(states), 'migration')}")
    for state in states:
        if state.applied_at is None:
            advice = "removes what an older Treadle uses; once none runs any longer, use --contract"
            write_line(f"{names[state.number]} {advice}")
