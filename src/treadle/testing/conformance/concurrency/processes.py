"""Processes: several write to one store at full speed, and some are killed."""

from pathlib import Path

from treadle.backends.base import Guarantee
from treadle.testing._harness.check import Checks
from treadle.testing._harness.writer_processes import (
    Limit,
    kill_among_others,
    kill_one_after_another,
    race,
)
from treadle.testing.subject import Subject

checks = Checks(__name__)

STEPS = 100
"""How many commits each process tries; a lock that is not taken shows after a few."""


@checks.add(Guarantee.ONE_ORDER, "shared")
def several_processes_lose_and_repeat_nothing(subject: Subject, folder: Path) -> None:
    reports = race(subject, folder, 4, Limit(steps=STEPS))
    for done in ("sent ", "acked "):
        assert any(line.startswith(done) for line in reports), f"nothing was {done}: {reports}"


@checks.add(Guarantee.ACKNOWLEDGED_IS_KEPT, "durable")
def acknowledged_writes_of_killed_processes_are_kept_and_all_others_are_whole_or_absent(
    subject: Subject, folder: Path
) -> None:
    kill_one_after_another(subject, folder, kills=10)


@checks.add(Guarantee.ACKNOWLEDGED_IS_KEPT, "durable", "shared")
def killed_processes_lose_nothing_that_other_processes_committed(
    subject: Subject, folder: Path
) -> None:
    kill_among_others(subject, folder, kills=10)
