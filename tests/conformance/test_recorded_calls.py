"""The recordings are whole, and what compares with them tells apart what differs."""

from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.conformance.pack_recorded import pack
from treadle.testing import TickingClock
from treadle.testing._harness.recorded import (
    ARCHIVE,
    PATCHES,
    SCENARIO_IDS,
    SCENARIOS,
    load_scenarios,
)
from treadle.testing._harness.recorded.replay import Comparison, Tokens


def test_all_scenarios_are_there() -> None:
    scenarios = load_scenarios()
    assert tuple(scenarios) == SCENARIO_IDS
    assert sum(len(scenario.calls) for scenario in scenarios.values()) == 4_800


def test_packing_the_recordings_gives_the_archive_that_is_shipped(tmp_path: Path) -> None:
    with ZipFile(ARCHIVE) as shipped:
        scenarios = shipped.read(SCENARIOS).splitlines(keepends=True)
        (tmp_path / PATCHES).write_bytes(shipped.read(PATCHES))
    each = len(scenarios) // len(SCENARIO_IDS)
    for number in range(len(SCENARIO_IDS)):
        lines = scenarios[number * each : (number + 1) * each]
        (tmp_path / f"scenario-{number:03}.jsonl").write_bytes(b"".join(lines))
    pack(tmp_path, tmp_path / "packed.zip")
    with ZipFile(ARCHIVE) as shipped, ZipFile(tmp_path / "packed.zip") as packed:
        assert packed.namelist() == shipped.namelist()
        for member in shipped.namelist():
            assert packed.read(member) == shipped.read(member)


def test_a_token_has_one_name_and_a_name_one_token() -> None:
    tokens = Tokens()
    assert tokens.matches("$token:1", "a")
    assert tokens.matches("$token:1", "a")
    assert tokens.real("$token:1") == "a"
    assert not tokens.matches("$token:1", "b")
    assert not tokens.matches("$token:2", "a")
    assert not tokens.matches("$token:3", None)
    with pytest.raises(KeyError):
        tokens.real("$token:9")


def test_a_time_is_one_that_the_clock_has_shown() -> None:
    clock = TickingClock(100)
    shown = clock()
    comparison = Comparison(clock)
    expected = {"created_at": "$time", "updated_at": 7}
    assert comparison.differences({"created_at": shown, "updated_at": 7}, expected) == []
    for wrong in (100, shown + 1, float(shown), "$time+", None):
        assert comparison.differences({"created_at": wrong, "updated_at": 7}, expected) != []
    assert comparison.differences({"created_at": shown, "updated_at": 8}, expected) != []
