"""The suite as a pytest class."""

from pathlib import Path

import pytest

from treadle.testing._harness.check import Check
from treadle.testing._harness.running import declared_by, run
from treadle.testing.conformance import SUITE
from treadle.testing.subject import Subject


class BackendConformance:
    """Every check of the suite as a test.

    Subclass it, and provide your backend::

        class TestMyBackend(BackendConformance):
            @pytest.fixture
            def subject(self) -> Subject:
                return Subject(make=MyBackend)

    A check of a capability that the backend does not declare is skipped, with that reason.
    """

    @pytest.fixture
    def subject(self) -> Subject:
        """The backend to be tested; override it."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture `subject`")

    @pytest.mark.parametrize("check", SUITE, ids=str)
    def test_conformance(self, check: Check, subject: Subject, tmp_path: Path) -> None:
        """Run one check."""
        # Most checks need nothing, and a handle may cost more than the check.
        missing = check.needs and check.needs - declared_by(subject, tmp_path)
        if missing:
            pytest.skip(f"not declared: {', '.join(sorted(missing))}")
        run(check, subject, tmp_path)
