"""Eight processes that write to one thread and follow it, for longer than in the suite."""

from pathlib import Path

import pytest

from treadle.testing import Subject
from treadle.testing._harness.follower_processes import write_and_follow
from treadle.testing.builtin_subjects import FILES, SQLITE

pytestmark = pytest.mark.soak


@pytest.mark.parametrize("subject", [FILES, SQLITE], ids=["files", "sqlite"])
def test_each_process_sees_each_version_once_and_in_order(subject: Subject, tmp_path: Path) -> None:
    write_and_follow(subject, tmp_path, processes=8, seconds=30)
