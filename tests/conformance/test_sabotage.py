"""The suite finds out every backend that breaks a rule, and says which rule it was."""

from pathlib import Path

import pytest
from hypothesis import settings

from tests.conformance.saboteurs import ONLY_BY_HISTORIES, SABOTEURS, Saboteur
from treadle.backends.base import Guarantee
from treadle.testing import Outcome, Subject, actor
from treadle.testing.certification import attempt
from treadle.testing.conformance import SUITE, waits
from treadle.testing.conformance.check import Check
from treadle.testing.conformance.history import SHORT, compare_histories

HUNT = settings(SHORT, max_examples=1_000, derandomize=True)  # so it takes as long each time
NAMED = [check for check in SUITE if not check.needs and "random history" not in check.rule]


def failures(checks: list[Check], subject: Subject, folder: Path) -> list[Outcome]:
    outcomes = [attempt(check, subject, folder) for check in checks]
    return [outcome for outcome in outcomes if outcome.status == "failed"]


def test_every_guarantee_is_broken_by_a_saboteur() -> None:
    assert {saboteur.breaks for saboteur in SABOTEURS.values()} == set(Guarantee)


@pytest.mark.parametrize("saboteur", SABOTEURS.values(), ids=SABOTEURS)
def test_a_saboteur_is_found_out_by_the_check_of_the_rule_it_breaks(
    tmp_path: Path, saboteur: Saboteur, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "SOON_SECONDS", 0.5)  # what never comes is not waited for
    monkeypatch.setattr(actor, "SETTLE_SECONDS", 5.0)  # what comes late still does
    checks = [check for check in SUITE if check.rule.startswith(saboteur.found_by)]
    found = failures(checks, saboteur.subject, tmp_path)
    assert found
    for failure in found:
        assert failure.guarantee is saboteur.breaks
        assert failure.detail


@pytest.mark.parametrize("subject", ONLY_BY_HISTORIES.values(), ids=ONLY_BY_HISTORIES)
def test_some_saboteurs_pass_every_named_check_and_a_random_history_finds_them_out(
    tmp_path: Path, subject: Subject
) -> None:
    assert failures(NAMED, subject, tmp_path) == []
    with pytest.raises(AssertionError, match="not as the model has it"):
        compare_histories(subject, tmp_path, 1, HUNT)
