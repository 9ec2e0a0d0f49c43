"""The suite as a pytest class."""

from pathlib import Path

import pytest

from treadle.testing.conformance import SUITE
from treadle.testing.conformance.check import Check
from treadle.testing.conformance.running import offers, run
from treadle.testing.subject import Subject


class BackendConformance:
    """Every check of the suite as a test.

    Subclass it, and give it your backend::

        class TestMyBackend(BackendConformance):
            @pytest.fixture
            def subject(self) -> Subject:
                return Subject(make=MyBackend)

    A check of a capability that the backend does not declare is skipped, and says so.
    """

    @pytest.fixture
    def subject(self) -> Subject:
        """The backend to be tested; to be overridden."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture `subject`")

    @pytest.mark.parametrize("check", SUITE, ids=str)
    def test_conformance(self, check: Check, subject: Subject, tmp_path: Path) -> None:
        """One check."""
        missing = check.needs - offers(subject, tmp_path)
        if missing:
            pytest.skip(f"not declared: {', '.join(sorted(missing))}")
        run(check, subject, tmp_path)
