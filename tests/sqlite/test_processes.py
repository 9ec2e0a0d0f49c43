"""Many processes write to one database file: all succeed, and none starves."""

from pathlib import Path

import pytest

from treadle.testing._harness.writer_processes import Limit, WriterProcesses, kill_among_others
from treadle.testing.builtin_subjects import SQLITE


def share_between(processes: int, seconds: float, folder: Path) -> list[int]:
    """How many steps each of the processes has committed, of those that wrote at the same time."""
    names = [f"p{number}" for number in range(processes)]
    with WriterProcesses(SQLITE, folder) as writers:
        for name in names:
            writers.start(name, Limit(seconds=seconds))
        for name in names:
            writers.finish(name, Limit(seconds=seconds))
        writers.check()  # an error of any of them, "database is locked" too, fails here
        return [_steps(writers.heard(name)) for name in names]


def _steps(lines: list[str]) -> int:
    return sum(line.startswith(("sent ", "acked ")) for line in lines)


def test_eight_writing_processes_all_succeed_and_none_starves(tmp_path: Path) -> None:
    """Where the lock is not fair, one starves each time; on a busy machine, now and then.

    The slower it is, the longer it takes until each of them has had its share.
    """
    tried: list[list[int]] = []
    for seconds in (2, 4, 8, 16):
        folder = tmp_path / str(seconds)
        folder.mkdir()
        tried.append(share_between(8, seconds, folder))
        if max(tried[-1]) <= 3 * min(tried[-1]):
            return
    raise AssertionError(tried)


@pytest.mark.soak
def test_none_of_eight_writing_processes_starves_in_a_long_run(tmp_path: Path) -> None:
    steps = share_between(8, 300, tmp_path)
    assert max(steps) <= 3 * min(steps), steps


@pytest.mark.soak
def test_thousands_of_killed_writers_leave_each_step_whole_or_absent(tmp_path: Path) -> None:
    kill_among_others(SQLITE, tmp_path, kills=3000)
