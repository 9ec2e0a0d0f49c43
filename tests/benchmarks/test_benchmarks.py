"""`python -m benchmarks` runs, shows tables and writes its result."""

import gc
import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from benchmarks.__main__ import main
from benchmarks.peers.base import Subject
from benchmarks.tables import Column, Row, Table, lines
from benchmarks.targets import judge
from benchmarks.texts import SIZE, payload, texts
from benchmarks.workloads import WORKLOADS

from benchmarks import beside_peers, child, server


def run_benchmarks(kept: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--json", str(kept), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=200)


def rows_of(result: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for table in result["tables"]:
        for row in table["rows"]:
            yield table["name"], row


def measure_here(here: Path) -> str:
    """Measure a subject in this process: to start another takes longer than to measure."""
    child.measure(here / "task.json", here / "rows.json")
    return ""


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_part_shows_its_table_and_writes_the_result(
    name: str,
    tmp_path: Path,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(beside_peers, "run_child", measure_here)
    monkeypatch.setenv(server.VARIABLE, postgres_url)
    kept = tmp_path / "out" / "benchmarks.json"
    arguments = ["--quick", "--json", str(kept), "--folder", str(tmp_path), name]
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of peers, and of stores that a part leaves open
        main()
        gc.collect()
    result = json.loads(kept.read_bytes())
    found = list(rows_of(result))
    shown = capsys.readouterr().out
    assert [table["name"] for table in result["tables"]] == [name]
    assert all(row["who"] in shown for _, row in found)
    assert result["syncs_per_second"] > 0
    assert_nobody_is_left_out(name, found, shown)


def assert_nobody_is_left_out(
    name: str, found: list[tuple[str, dict[str, Any]]], shown: str
) -> None:
    whos = [row["who"] for table, row in found if table == name]
    for kind in WORKLOADS[name].subjects:
        assert any(who.startswith(kind.name) for who in whos), f"{kind.name} in {name}"
    for _, row in found:
        missing = row["missing"]
        assert missing.startswith("not installed (") or (row["figures"] and row["durability"])
        assert missing in shown


def test_an_error_of_one_subject_does_not_stop_the_others(tmp_path: Path) -> None:
    kept = tmp_path / "benchmarks.json"
    done = run_benchmarks(kept, "one-caller", "--store", "nowhere:", "--store", "memory")
    assert done.returncode == 1
    assert "FAILED" in done.stdout
    assert "nowhere" in done.stdout
    measured = [row["who"] for _, row in rows_of(json.loads(kept.read_bytes())) if row["figures"]]
    assert {"by hand (the same statements)", "treadle (memory)"} <= set(measured)


def test_the_help_describes_each_part() -> None:
    command = [sys.executable, "-m", "benchmarks", "--help"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for name, workload in WORKLOADS.items():
        assert f"  {name:<17} {workload.about}\n" in shown


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    done = run_benchmarks(tmp_path / "none.json", "everything")
    assert done.returncode == 2
    assert "there is no part 'everything'" in done.stderr
    assert "flatness" in done.stderr


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=list(WORKLOADS))
def test_the_subjects_of_a_workload_have_different_names(workload: Any) -> None:
    names = [kind.name for kind in workload.subjects]
    assert len(names) == len(set(names))
    assert all(issubclass(kind, Subject) for kind in workload.subjects)


def test_messages_and_payloads_have_the_stated_size() -> None:
    assert {len(text.encode()) for text in texts(50)} == {SIZE}
    assert len(set(texts(50))) == 50
    assert {len(payload(number)) for number in (0, 7, 999_999)} == {200}


def test_a_table_shows_figures_and_missing_subjects() -> None:
    table = Table(
        name="work",
        work="much of it",
        columns=(Column("rate", "a second"), Column("times", "x floor", "{:.2f}")),
        rows=(
            Row(who="one", durability="FULL", figures={"rate": 1234.5, "times": 2}, note="slow"),
            Row(who="another", durability="none", figures={"rate": 7}),
            Row(who="third", missing="not installed (third)"),
        ),
    )
    assert list(lines(table)) == [
        "WORK: much of it",
        "           a second  x floor  durability",
        "  one         1,234     2.00  FULL        slow",
        "  another         7        -  none",
        "  third    not installed (third)",
    ]


def test_the_targets_of_plain_files_depend_on_the_disk() -> None:
    measured = [
        ("append", 1, 10, 1.9),
        ("append", 2, 100, 2.5),
        ("append", 5, 1_000, 9),
        ("append, many callers", 200, 0, 1),
        ("claim + ack", 1, 100, 9),
        ("claim + ack", 2, 1_000, 9),
        ("claim + ack, many", 150, 0, 1),
    ]
    found = [
        Row(
            who=f"treadle (files), {what}",
            figures={
                "median": median,
                "per_second": 1e6 / median,
                "there": there,
                "times_floor": times,
            },
        )
        for what, median, there, times in measured
    ]
    table = Table(name="files", work="", columns=(), rows=tuple(found))
    assert verdicts(table, 4_000) == [
        (0.53, True),
        (0.4, False),
        (5_000, False),
        (6_667, True),
        (5, False),
        (2, False),
    ]
    assert verdicts(table, 2_000)[2] == (5_000, True)  # a slower disk owes less


def test_a_target_is_not_hidden_if_its_figures_are_missing() -> None:
    failed = Row(who="treadle (files)", missing="FAILED: it broke", failed=True)
    [target] = judge([Table(name="files", work="", columns=(), rows=(failed,))], 4_000)
    assert str(target) == "UNKNOWN treadle (files), files: FAILED: it broke (its targets)"
    alone = rows("many-callers", "per_second", **{"treadle (sqlite)": 60.0, "by hand": 50.0})
    shown = [str(target) for target in judge([alone], 4_000)]
    assert shown[:2] == [
        "UNKNOWN treadle (sqlite), many-callers: rate of batches by hand: "
        "by hand, in batches was not measured (at least 0.4 times)",
        "UNKNOWN treadle (sqlite), many-callers: best session store's rate: "
        "no peer was measured (at least 8 times)",
    ]


def rows(name: str, key: str, **values: float) -> Table:
    found = [Row(who=who.replace("_", " "), figures={key: value}) for who, value in values.items()]
    return Table(name=name, work="", columns=(), rows=tuple(found))


def verdicts(table: Table, syncs: int = 4_000) -> list[tuple[float | None, bool]]:
    return [(target.measured, target.met) for target in judge([table], syncs)]


def test_only_databases_have_a_target_for_flat_cost() -> None:
    figures = {"treadle (sqlite)": 2.0, "treadle (files)": 9.0, "peer": 9.0}
    assert verdicts(rows("flatness", "growth", **figures)) == [(2, False)]
    assert verdicts(rows("pages", "growth", **figures | {"treadle (sqlite)": 1.0})) == [(1, True)]


def table_of(name: str, figures: dict[str, dict[str, float]]) -> Table:
    found = [Row(who=who, figures=each) for who, each in figures.items()]
    return Table(name=name, work="", columns=(), rows=tuple(found))


def test_databases_have_targets_beside_the_floor_and_the_best_peer() -> None:
    one = {"treadle (sqlite)": 2.0, "OpenAI Agents SQLiteSession 0.24": 3.0}
    assert verdicts(rows("one-caller", "times_floor", **one)) == [(1.5, True), (2, False)]
    many = {
        "treadle (sqlite)": 60.0,
        "by hand": 50.0,
        "by hand, in batches": 200.0,
        "peer": 10.0,
    }
    assert verdicts(rows("many-callers", "per_second", **many)) == [(0.3, False), (6, False)]


def test_claims_and_acks_have_targets_beside_the_floor_and_durable_queues() -> None:
    table = table_of(
        "queue",
        {
            "treadle (sqlite)": {"one_floor": 1.5, "many": 60},
            "treadle, one claim for all (sqlite)": {"many": 80},
            "by hand, in batches": {"many": 200},
            "litequeue, made durable 0.9": {"one_floor": 1.2, "many": 5},
            "a queue": {"one_floor": 2, "many": 10},
        },
    )
    lost = Row(who="another", figures={"many": 900}, note="LOST: deleted when claimed")
    lazy = Row(who="a third", figures={"many": 900}, durability="WAL, NORMAL")
    table = msgspec.structs.replace(table, rows=(*table.rows, lost, lazy))
    assert verdicts(table) == [
        (0.67, True),
        (0.8, False),
        (0.3, True),
        (6, False),
        (0.4, True),
        (8, True),
    ]


def test_a_worker_has_a_target_beside_the_bare_drain() -> None:
    table = table_of(
        "worker",
        {
            "treadle (sqlite), drain": {"per_second": 10},
            "treadle (sqlite), Worker": {"per_second": 7, "part": 0.7},
        },
    )
    assert verdicts(table) == [(0.7, False)]


def test_a_million_entries_have_a_target_for_their_size_in_a_database() -> None:
    figures = {"growth": 1.2, "times_text": 2.6}
    table = table_of("flatness", {"treadle (sqlite), claim + ack": figures})
    assert verdicts(table) == [(1.2, True), (2.6, False)]


def test_memory_has_a_target_where_it_is_not_the_store() -> None:
    grown = {"treadle (sqlite)": 20.0, "treadle (files)": 21.0, "treadle (memory)": 99.0}
    assert verdicts(rows("memory", "grown", **grown)) == [(20, True), (21, False)]


def test_heads_have_targets_in_microseconds_on_databases() -> None:
    found = [
        Row(who=who, figures={"many": many, "growth": growth})
        for who, many, growth in (
            ("treadle (sqlite), head", 300, 1.2),
            ("treadle (postgresql), 20 newest heads", 2_500, 1.7),
            ("treadle (sqlite), new title", 9_000, 1.0),
            ("treadle (files), head", 9_000, 9.0),
            ("by hand (the floor), head", 9_000, 9.0),
        )
    ]
    table = Table(name="heads", work="", columns=(), rows=tuple(found))
    assert verdicts(table) == [(1.2, True), (300, True), (1.7, False), (2_500, False), (1.0, True)]


def test_documents_have_targets_on_all_backends() -> None:
    found = [
        Row(who="treadle (files), put", figures={"many": 9, "growth": 1.1, "times_append": 1.2}),
        Row(who="treadle (files), load", figures={"many": 9, "growth": 1.6}),
        Row(who="treadle (files), open", figures={"many": 3_000_000, "growth": 99}),
        Row(who="LangGraph SqliteStore, load", figures={"many": 9, "growth": 9}),
    ]
    table = Table(name="documents", work="", columns=(), rows=tuple(found))
    assert verdicts(table) == [(1.1, True), (1.2, False), (1.6, False), (3_000_000, False)]


def test_appends_on_postgresql_have_targets_beside_the_same_statements_and_session_stores() -> None:
    found = [
        Row(who="by hand (asyncpg)", figures={"one": 900, "many": 9_000}),
        Row(who="by hand (psycopg, the same statements in pipelines) 3", figures={"one": 600}),
        Row(who="treadle (postgresql)", figures={"one": 450, "many": 13_000, "growth": 1.1}),
        Row(who="a session store", figures={"one": 200, "many": 1_000}),
    ]
    table = Table(name="postgres-appends", work="", columns=(), rows=tuple(found))
    assert verdicts(table) == [
        (0.75, True),
        (13_000, False),
        (2.25, False),
        (13, True),
        (1.1, True),
    ]


def test_a_worker_on_postgresql_has_targets_beside_the_drain_and_pgqueuer() -> None:
    found = [
        Row(who="treadle (postgresql)", figures={"batch": 100, "per_second": 10_000}),
        Row(who="treadle (postgresql), Worker", figures={"batch": 100, "per_second": 7_000}),
        Row(who="pgqueuer", figures={"batch": 100, "per_second": 8_000}),
    ]
    table = Table(name="postgres-drain", work="", columns=(), rows=tuple(found))
    unknown = (None, False)
    assert verdicts(table) == [(1.25, True), unknown, (0.88, False), unknown, (0.7, False)]


def test_queues_on_postgresql_have_targets_for_their_sizes_and_after_much_use() -> None:
    deep = Row(who="treadle (postgresql)", figures={"growth": 1.2, "times": 2.5})
    assert verdicts(Table(name="postgres-depth", work="", columns=(), rows=(deep,))) == [
        (1.2, True),
        (2.5, False),
    ]
    opened = Row(who="treadle (postgresql), open", figures={"growth": 1.6})
    assert verdicts(Table(name="postgres-depth", work="", columns=(), rows=(opened,))) == [
        (1.6, False)
    ]
    used = [
        Row(
            who="treadle (postgresql), all tables",
            figures={"slowed": 1.1, "bloat": 3, "not_hot": 0.05},
        ),
        Row(who="treadle (postgresql), payloads", figures={"live": 9}),
    ]
    table = Table(name="postgres-tables", work="", columns=(), rows=tuple(used))
    assert verdicts(table) == [(1.1, True), (3, False), (0.05, True)]


def test_storage_has_a_target_beside_its_text() -> None:
    table = rows("storage", "times_1000", **{"treadle (files)": 1.2, "peer": 9.0})
    assert verdicts(table) == [(1.2, True)]


def test_latency_has_a_target_for_each_figure_that_there_is() -> None:
    there = {"send": 12.5, "resume": 25.1, "interrupt": 250.0, "here": 51.0, "idle": 0.9}
    found = [
        Row(who="treadle (files)", figures=there),
        Row(who="treadle (memory)", figures={"here": 12.0, "idle": 1.1}),
    ]
    table = Table(name="latency", work="", columns=(), rows=tuple(found))
    assert [met for _, met in verdicts(table)] == [True, False, True, False, True, True, False]
