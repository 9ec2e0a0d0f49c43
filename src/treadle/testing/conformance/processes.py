"""Processes: several at one store, and some of them killed, at full speed."""

from pathlib import Path

from treadle.backends.base import Guarantee
from treadle.testing.conformance.check import Facet
from treadle.testing.subject import Subject
from treadle.testing.writers import kill_among_others, kill_one_after_another, race

facet = Facet("concurrency")


@facet.check(Guarantee.ONE_ORDER, "shared")
def several_processes_lose_and_double_nothing(subject: Subject, place: Path) -> None:
    reports = race(subject, place, processes=4, seconds=3)
    for done in ("sent ", "acked "):
        assert any(line.startswith(done) for line in reports), f"nothing was {done}: {reports}"


@facet.check(Guarantee.ACKNOWLEDGED_IS_KEPT, "durable")
def what_killed_processes_acknowledged_is_there_and_the_rest_whole_or_absent(
    subject: Subject, place: Path
) -> None:
    kill_one_after_another(subject, place, kills=10)


@facet.check(Guarantee.ACKNOWLEDGED_IS_KEPT, "durable", "shared")
def a_process_killed_among_others_takes_nothing_of_theirs_with_it(
    subject: Subject, place: Path
) -> None:
    kill_among_others(subject, place, kills=20)
