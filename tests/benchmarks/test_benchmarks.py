"""`python -m benchmarks` runs, shows its table and keeps its result."""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.__main__ import judge
from benchmarks.measure import Measure


def test_it_shows_a_table_and_keeps_the_result(tmp_path: Path) -> None:
    kept = tmp_path / "out" / "files.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--json", str(kept)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    result = json.loads(kept.read_bytes())
    names = [measure["name"] for measure in result["measures"]]
    assert len(names) == len(set(names)) == 7
    assert all(name in shown for name in names)
    assert len(result["targets"]) == 3
    assert result["syncs_per_second"] > 0


def measure(name: str, microseconds: float) -> Measure:
    return Measure(
        name=name,
        durability="full",
        microseconds=microseconds,
        per_second=1e6 / microseconds,
        floor="",
        times_floor=1,
    )


def test_a_missed_target_is_said_to_be_missed() -> None:
    slow = [
        measure("append at 10", 1),
        measure("append at 1,000", 5),
        measure("append, 64 callers", 1_000),
        measure("claim at 1", 1),
        measure("claim at 2", 2),
    ]
    assert [target.met for target in judge(slow, 4_000)] == [False, False, False]
    assert judge(slow, 1_000)[2].met  # a slower disk owes less
