"""`treadle runs`, as text and as JSON."""

from pathlib import Path

import pytest

import treadle
from tests.cli.support import in_store, run, run_json


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--thread", "t1"), ["r1"]),
        (("--status", "done"), ["r2", "r3"]),
        (("--parent", "r1"), ["r3"]),
        (("--origin", "subagent"), ["r3"]),
        (("--offset", 1, "--limit", 1), ["r2"]),
    ],
)
def test_runs_are_listed_by_filter_and_page(
    agents: Path, options: tuple[object, ...], found: list[str]
) -> None:
    run_record = treadle.RunRecord(
        run_id="r3",
        thread_id="t2",
        parent_run_id="r1",
        origin="subagent",
        status="done",
        created_at=3,
    )
    in_store(agents, lambda store: store.runs.upsert(run_record))
    items = run_json("runs", "list", *options, "--store", agents)["items"]
    assert [item["run_id"] for item in items] == found


def test_runs_are_listed_and_shown(agents: Path) -> None:
    listing = run_json("runs", "list", "--store", agents)
    assert [run["run_id"] for run in listing["items"]] == ["r1", "r2"]
    assert run("runs", "list", "--store", agents).stdout.splitlines()[1].startswith("r1\tt1\t")
    assert run_json("runs", "show", "r2", "--store", agents)["status"] == "done"
    assert "r2" in run("runs", "show", "r2", "--store", agents).stdout
