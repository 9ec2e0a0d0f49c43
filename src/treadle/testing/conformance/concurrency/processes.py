"""Processes: several at one store, and some of them killed, at full speed."""

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
def several_processes_lose_and_double_nothing(subject: Subject, folder: Path) -> None:
    reports = race(subject, folder, 4, Limit(steps=STEPS))
    for done in ("sent ", "acked "):
        assert any(line.startswith(done) for line in reports), f"nothing was {done}: {reports}"


@checks.add(Guarantee.ACKNOWLEDGED_IS_KEPT, "durable")
def what_killed_processes_acknowledged_is_there_and_the_rest_whole_or_absent(
    subject: Subject, folder: Path
) -> None:
    kill_one_after_another(subject, folder, kills=10)


@checks.add(Guarantee.ACKNOWLEDGED_IS_KEPT, "durable", "shared")
def a_process_killed_among_others_takes_nothing_of_theirs_with_it(
    subject: Subject, folder: Path
) -> None:
    kill_among_others(subject, folder, kills=10)
