"""Processes: all of them write to one thread, and follow it."""

from pathlib import Path

from treadle.backends.base import Guarantee
from treadle.testing._harness.check import Checks
from treadle.testing._harness.follower_processes import write_and_follow
from treadle.testing.subject import Subject

checks = Checks(__name__)

SECONDS = 3.0


@checks.add(Guarantee.CHANGES_ARE_HINTED, "shared")
def eight_processes_that_write_and_truncate_follow_each_version_once_and_in_order(
    subject: Subject, folder: Path
) -> None:
    write_and_follow(subject, folder, processes=8, seconds=SECONDS)
