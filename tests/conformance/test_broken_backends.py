"""The suite finds out every backend that breaks a rule, and says which rule it was."""

from pathlib import Path

import pytest
from hypothesis import settings

from tests.conformance.broken_backends import BROKEN_BACKENDS, ONLY_BY_HISTORIES, BrokenBackend
from treadle.backends.base import Guarantee
from treadle.testing import CheckResult, Subject
from treadle.testing._harness import child_process, listening
from treadle.testing._harness.check import Check
from treadle.testing._harness.history_machine import SHORT, compare_histories
from treadle.testing.certification import run_check
from treadle.testing.conformance import SUITE
from treadle.testing.conformance.mailboxes import waits

# The same histories each time. With these lengths, each backend is found within seconds.
HUNT = settings(SHORT, max_examples=1_000, stateful_step_count=50, derandomize=True)
NAMED = [check for check in SUITE if not check.needs and check.module != "random_histories"]


def failures(checks: list[Check], subject: Subject, folder: Path) -> list[CheckResult]:
    outcomes = [run_check(check, subject, folder) for check in checks]
    return [outcome for outcome in outcomes if outcome.status == "failed"]


def test_some_backend_breaks_each_guarantee() -> None:
    assert {broken.breaks for broken in BROKEN_BACKENDS.values()} == set(Guarantee)


@pytest.mark.parametrize("broken", BROKEN_BACKENDS.values(), ids=BROKEN_BACKENDS)
def test_the_check_of_a_rule_fails_on_the_backend_that_breaks_it(
    tmp_path: Path, broken: BrokenBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "SOON_SECONDS", 0.5)  # what never comes is not waited for
    monkeypatch.setattr(listening, "SOON_SECONDS", 0.5)
    monkeypatch.setattr(child_process, "BLOCKED_SECONDS", 5.0)  # what comes late still does
    checks = [check for check in SUITE if check.rule.startswith(broken.found_by)]
    found = failures(checks, broken.subject, tmp_path)
    assert found
    for failure in found:
        assert failure.guarantee is broken.breaks
        assert failure.detail


@pytest.mark.parametrize("subject", ONLY_BY_HISTORIES.values(), ids=ONLY_BY_HISTORIES)
def test_random_histories_fail_on_broken_backends_that_pass_every_named_check(
    tmp_path: Path, subject: Subject
) -> None:
    with pytest.raises(AssertionError, match="differs from the model"):
        compare_histories(subject, tmp_path, (1,), HUNT)


@pytest.mark.soak
@pytest.mark.parametrize("subject", ONLY_BY_HISTORIES.values(), ids=ONLY_BY_HISTORIES)
def test_no_named_check_fails_on_the_broken_backends_that_histories_find(
    tmp_path: Path, subject: Subject
) -> None:
    assert failures(NAMED, subject, tmp_path) == []
