"""`treadle runs`: list and show runs."""

from functools import partial
from typing import cast, get_args

import click

from treadle.cli.opening import read_store
from treadle.cli.options import json_option, limit_option, offset_option, store_option
from treadle.cli.paging import read_page, write_page
from treadle.cli.terminal.help import ExampleGroup
from treadle.cli.terminal.output import time_text, write_fields, write_json
from treadle.cli.terminal.tables import Column
from treadle.core.codec import to_plain
from treadle.core.pages import Page
from treadle.core.runs import RunOrigin, RunRecord, RunStatus
from treadle.errors import NotFound
from treadle.store.store import Store

_COLUMNS = (
    Column("run", whole=True),
    Column("thread"),
    Column("agent"),
    Column("status", whole=True),
    Column("ended with"),
    Column("created", whole=True),
    Column("updated", whole=True),
    Column("tokens", right=True),
)


@click.group(
    "runs",
    cls=ExampleGroup,
    examples=("treadle runs list --status running", "treadle runs show bike-squeaky-brakes-turn-1"),
)
def runs() -> None:
    """Look at runs, the executions of agents."""


@runs.command(
    "list",
    examples=(
        "treadle runs list --status running",
        "treadle runs list --thread bike-squeaky-brakes",
        "treadle runs list --json | jq '.total'",
    ),
)
@store_option()
@click.option("--thread", metavar="ID", help="Only on this thread.")
@click.option("--parent", metavar="RUN", help="Only children of this run.")
@click.option("--status", type=click.Choice(get_args(RunStatus)), help="Only with this status.")
@click.option("--origin", type=click.Choice(get_args(RunOrigin)), help="Only from this origin.")
@offset_option
@limit_option
@json_option
def list_runs(
    thread: str | None,
    parent: str | None,
    status: str | None,
    origin: str | None,
    offset: int,
    limit: int,
    as_json: bool,
) -> None:
    """List runs, oldest first.

    --json: {"items": [run records], "total", "has_more"}.
    """

    async def read(store: Store) -> Page[RunRecord]:
        listing = partial(
            store.runs.list,
            thread_id=thread,
            parent_run_id=parent,
            status=cast("RunStatus | None", status),
            origin=cast("RunOrigin | None", origin),
        )
        return await read_page(listing, offset, limit)

    write_page(read_store(read), offset, "runs", _COLUMNS, _cells, as_json=as_json, plain=to_plain)


@runs.command(
    "show",
    examples=(
        "treadle runs show bike-squeaky-brakes-turn-1",
        "treadle runs show bike-squeaky-brakes-turn-1 --json",
    ),
)
@store_option()
@click.argument("run_id", metavar="RUN")
@json_option
def show_run(run_id: str, as_json: bool) -> None:
    """Show a run.

    --json: the run record.
    """
    run = read_store(lambda store: store.runs.load(run_id))
    if run is None:
        raise NotFound("run", run_id)
    if as_json:
        write_json(to_plain(run))
    else:
        write_fields(to_plain(run))


def _cells(run: RunRecord) -> tuple[str, ...]:
    return (
        run.run_id,
        run.thread_id,
        run.agent_id,
        run.status,
        run.termination_code or "",
        time_text(run.created_at),
        time_text(run.updated_at),
        f"{run.input_tokens + run.output_tokens:,}",
    )
