"""`python -m benchmarks.profiling` shows where the time of a commit goes."""

import asyncio
import json
import subprocess
import sys
import threading
import time

import pytest
from benchmarks.profiling.commits import COMMITS
from benchmarks.profiling.layers import Profiler, Spent

from benchmarks import server


def profile(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.profiling", "--quick", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=200)


@pytest.mark.parametrize("backend", ["memory", "sqlite", "files", "postgres"])
def test_each_commit_is_profiled_on_each_backend(
    backend: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "postgres":
        monkeypatch.setenv(server.VARIABLE, request.getfixturevalue("postgres_url"))
    done = profile("--json", "--store", backend)
    assert done.returncode == 0, done.stderr
    tables = json.loads(done.stdout)
    assert [table["name"] for table in tables] == list(COMMITS)
    for table in tables:
        [row] = table["rows"]
        if backend == "postgres" and row["missing"].startswith("not installed ("):
            continue
        figures = row["figures"]
        layers = ("caller", "hop", "rules", "program", "io", "sync")
        assert sum(figures[layer] for layer in layers) == pytest.approx(figures["total"])
        assert figures["caller"] > 0
        assert figures["calls"] > 10
        assert backend == "memory" or figures["io"] > 0


def test_the_tables_are_readable() -> None:
    done = profile("--store", "memory", "append")
    heads, row = done.stdout.splitlines()[1:3]
    shown = "caller hop rules program SQL or files sync total calls durability"
    assert " ".join(heads.split()) == shown
    assert row.split()[0] == "memory"


def test_the_steps_of_an_append_begin_by_hand_and_end_with_the_store() -> None:
    command = [sys.executable, "-m", "benchmarks.profiling.steps", "--turns", "1"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[2:]]
    assert [row[-1] for row in rows] == ["full"] * 9 + ["relaxed"] * 9
    assert rows[0][:2] == ["by", "hand,"]
    assert rows[6][:2] == ["=", "treadle"]


def test_an_unknown_commit_is_refused() -> None:
    done = profile("everything")
    assert done.returncode == 2
    assert "there is no commit 'everything'; use append, send" in done.stderr


def test_time_in_a_thread_and_in_a_wait_belongs_to_different_layers() -> None:
    async def run() -> Spent:
        profiler = Profiler()
        with profiler.threads():
            thread = threading.Thread(target=time.sleep, args=(0.1,))

            async def wait_for_it() -> None:
                thread.start()
                await asyncio.sleep(0.2)
                thread.join()

            return await profiler.run(wait_for_it())

    spent = asyncio.run(run())
    assert spent.layers["hop"] > 0.09  # the thread, which no layer of Treadle called
    assert spent.layers["waiting"] > 0.15  # the event loop had nothing to do
    assert spent.layers["rules"] == spent.layers["io"] == 0
    assert spent.calls > 10


def test_the_statements_of_a_commit_are_run_again_by_hand() -> None:
    command = [sys.executable, "-m", "benchmarks.profiling.replay", "--each", "2", "--turns", "1"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    rows = done.stdout.splitlines()[2:]
    assert [row.split("  ")[1] for row in rows] == [
        "append",
        "append, 64 callers",
        "claim + ack",
        "claim + ack, 64 in flight",
    ]


def test_callers_on_postgresql_are_measured_beside_the_same_by_hand(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(server.VARIABLE, request.getfixturevalue("postgres_url"))
    command = [sys.executable, "-m", "benchmarks.profiling.postgres_callers"]
    command += ["--each", "1", "--turns", "1"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    names = [line.split("  ")[1] for line in done.stdout.splitlines()[2:]]
    assert names == [
        "by hand (psycopg, 16 connections)",
        "by hand (psycopg, 64 appends in a commit)",
        "treadle (postgresql)",
    ]


def test_a_worker_is_measured_beside_a_store_that_costs_nothing() -> None:
    command = [sys.executable, "-m", "benchmarks.profiling.worker_alone"]
    command += ["--count", "200", "--turns", "1"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    names = [line.split("  ")[1] for line in done.stdout.splitlines()[2:]]
    assert names == ["4 loops, batches of 100", "Worker, 100 slots"]
