"""The memory backend passes the suite."""

import pytest

from treadle.testing import BackendConformance, Subject
from treadle.testing._harness.builtin_subjects import MEMORY


class TestMemory(BackendConformance):
    @pytest.fixture
    def subject(self) -> Subject:
        return MEMORY
