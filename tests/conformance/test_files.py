"""The files backend passes the suite."""

import pytest

from treadle.testing import BackendConformance, Subject
from treadle.testing.builtin_subjects import FILES


class TestFiles(BackendConformance):
    @pytest.fixture
    def subject(self) -> Subject:
        return FILES
