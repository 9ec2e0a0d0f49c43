"""Several real processes on one folder, some of them killed: for longer than in the suite."""

from pathlib import Path

import pytest

from treadle.testing._harness.writer_processes import Limit, kill_among_others, race
from treadle.testing.builtin_subjects import FILES

pytestmark = pytest.mark.soak


def test_eight_processes_lose_and_double_nothing(tmp_path: Path) -> None:
    reports = race(FILES, tmp_path, 8, Limit(seconds=120))
    assert sum(reports.values()) > 1_000


def test_thousands_of_killed_writers_leave_every_step_whole_or_absent(tmp_path: Path) -> None:
    kill_among_others(FILES, tmp_path, kills=3000)
