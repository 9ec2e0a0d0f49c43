"""Claims by prefix on databases, when they have to look several times, in both of their ways."""

from pathlib import Path

import pytest
from hypothesis import settings

from tests.postgres.schemas import pooled_subject
from treadle.backends.postgres import _claims as postgres_claims
from treadle.backends.sql import among
from treadle.backends.sqlite import _claims as sqlite_claims
from treadle.testing._harness.check import Check
from treadle.testing._harness.history_machine import SHORT, compare_histories
from treadle.testing._harness.running import run
from treadle.testing.builtin_subjects import SQLITE
from treadle.testing.conformance.mailboxes import prefixes
from treadle.testing.subject import Subject

LOOKS = (1, 2, 4)
FEW = settings(SHORT, max_examples=3)
"""The suite has longer histories on the same backends, with looks as they are."""


@pytest.fixture(autouse=True)
def short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (among, sqlite_claims, postgres_claims):
        monkeypatch.setattr(module, "LOOKS", LOOKS)
        monkeypatch.setattr(module, "FRONT", 1)


@pytest.fixture(params=["sqlite", "postgres"])
def subject(request: pytest.FixtureRequest) -> Subject:
    if request.param == "sqlite":
        return SQLITE
    request.getfixturevalue("postgres_schemas")
    return pooled_subject(request.getfixturevalue("postgres_url"))


def test_histories_are_those_of_the_model(subject: Subject, tmp_path: Path) -> None:
    compare_histories(subject, tmp_path, (2,), FEW)


@pytest.mark.parametrize("check", [*prefixes.checks], ids=str)
def test_the_checks_pass(subject: Subject, tmp_path: Path, check: Check) -> None:
    run(check, subject, tmp_path)
