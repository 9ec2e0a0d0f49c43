"""The memory backend passes the suite."""

from pathlib import Path

import pytest

from treadle.testing import BackendConformance, Subject
from treadle.testing._harness.check import Check
from treadle.testing._harness.running import declared_by
from treadle.testing.builtin_subjects import MEMORY
from treadle.testing.conformance import SUITE

CHECKS = [check for check in SUITE if not check.needs and check.module != "random_histories"]
"""The checks without a capability, as the backend declares none. Random histories compare a backend
with the memory backend: here they could not fail."""


class TestMemory(BackendConformance):
    @pytest.fixture
    def subject(self) -> Subject:
        return MEMORY

    @pytest.mark.parametrize("check", CHECKS, ids=str)
    def test_conformance(self, check: Check, subject: Subject, tmp_path: Path) -> None:
        super().test_conformance(check, subject, tmp_path)


def test_the_memory_backend_declares_no_capability(tmp_path: Path) -> None:
    assert declared_by(MEMORY, tmp_path) == frozenset()
