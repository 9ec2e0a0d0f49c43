"""`treadle runs delete`: remove the records of runs for good."""

import click

from treadle.cli.confirming import confirm_deletion, yes_option
from treadle.cli.opening import change_store
from treadle.cli.options import json_option, store_option
from treadle.cli.terminal.counts import counted
from treadle.cli.terminal.failure import Failure
from treadle.cli.terminal.help import ExampleCommand
from treadle.cli.terminal.output import write_json, write_line
from treadle.core.ids import is_id
from treadle.core.runs import is_active
from treadle.store.store import Store


@click.command(
    "delete",
    cls=ExampleCommand,
    examples=("treadle runs delete old-run", "treadle runs delete --yes --active stuck-run"),
)
@store_option()
@click.argument("run_ids", metavar="RUN...", nargs=-1, required=True)
@click.option("--active", is_flag=True, help="Also runs that are not done.")
@yes_option
@json_option
def delete(run_ids: tuple[str, ...], active: bool, yes: bool, as_json: bool) -> None:
    """Delete the records of runs, but not their threads and entries.

    A run that runs or waits stays without --active: who works on it would write it again.
    `treadle threads purge` deletes old threads with their runs.

    --json: {"deleted": [ids], "missing": [ids], "active": [ids of those that stay]}.
    """
    if not yes:
        confirm_deletion(counted(len(run_ids), "run"))

    async def work(store: Store) -> dict[str, list[str]]:
        result: dict[str, list[str]] = {"deleted": [], "missing": [], "active": []}
        for run_id in run_ids:
            result[await _delete(store, run_id, even_active=active)].append(run_id)
        return result

    result = change_store(work)
    if as_json:
        write_json(result)
    else:
        write_line(f"deleted {counted(len(result['deleted']), 'run')}")
    if result["active"]:
        named = ", ".join(map(repr, result["active"]))
        raise Failure(f"not done, so not deleted: {named}; --active deletes such runs, too")
    if result["missing"]:
        raise Failure(f"there is no run {', '.join(map(repr, result['missing']))}")


async def _delete(store: Store, run_id: str, *, even_active: bool) -> str:
    """Delete a run, and return what became of it."""
    run = await store.runs.load(run_id) if is_id(run_id) else None
    if run is None:
        return "missing"
    if is_active(run) and not even_active:
        return "active"
    return "deleted" if await store.runs.delete(run_id) else "missing"
