"""`treadle runs`, as text and as JSON."""

from pathlib import Path

import pytest

import treadle
from tests.cli.support import in_store, run, run_json


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--thread", "t1"), ["r1"]),
        (("--status", "done"), ["r3", "r2"]),
        (("--status", "done", "--status", "running"), ["r3", "r2", "r1"]),
        (("--owner", "u1"), ["r1"]),
        (("--agent", "helper"), ["r3"]),
        (("--parent", "r1"), ["r3"]),
        (("--origin", "subagent"), ["r3"]),
        (("--by", "updated_at"), ["r3", "r2", "r1"]),
        (("--limit", 2), ["r3", "r2"]),
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
        agent_id="helper",
        created_at=3,
    )
    in_store(agents, lambda store: store.runs.upsert(run_record))
    items = run_json("runs", "list", *options, "--store", agents)["items"]
    assert [item["run_id"] for item in items] == found


def test_runs_are_listed_and_shown(agents: Path) -> None:
    listing = run_json("runs", "list", "--store", agents)
    assert [run["run_id"] for run in listing["items"]] == ["r2", "r1"]
    assert run("runs", "list", "--store", agents).stdout.splitlines()[2].startswith("r1\tt1\t")
    assert run_json("runs", "show", "r2", "--store", agents)["status"] == "done"
    assert "r2" in run("runs", "show", "r2", "--store", agents).stdout


def test_runs_are_listed_page_by_page(agents: Path) -> None:
    first = run_json("runs", "list", "--limit", 1, "--store", agents)
    assert [item["run_id"] for item in first["items"]] == ["r2"]
    rest = run_json("runs", "list", "--after", first["next_cursor"], "--store", agents)
    assert [item["run_id"] for item in rest["items"]] == ["r1"]
    assert rest["next_cursor"] is None
    note = run("runs", "list", "--limit", 1, "--store", agents).stderr
    assert f"--after {first['next_cursor']} shows the next" in note
    wrong = run("runs", "list", "--after", "x", "--store", agents)
    assert wrong.exit_code == 1
    assert "search.after" in wrong.stderr


async def _use_tokens(store: treadle.Store) -> None:
    day_ms = 24 * 60 * 60 * 1000
    for key, day, tokens in (("r3", 1, 1_000), ("r4", 1, 2_000), ("r5", 20_000, 5)):
        used = treadle.RunRecord(
            run_id=key, thread_id="t1", created_at=day * day_ms, input_tokens=tokens
        )
        await store.runs.upsert(used)


def test_tokens_are_summed(agents: Path) -> None:
    in_store(agents, _use_tokens)
    lines = run("runs", "usage", "--since", "1970-01-02", "--store", agents).stdout.splitlines()
    assert lines[1:] == ["1970-01-02\t2\t3,000\t0", "2024-10-04\t1\t5\t0"]
    by_owner = run_json(
        "runs", "usage", "--by", "owner", "--until", "2024-10-04", "--store", agents
    )
    assert by_owner["items"] == [
        {"key": "u1", "runs": 3, "input_tokens": 3_000, "output_tokens": 0},
        {"runs": 1, "input_tokens": 0, "output_tokens": 0},
    ]
