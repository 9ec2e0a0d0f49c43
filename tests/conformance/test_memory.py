"""The memory backend passes the suite."""

import pytest

from weft.testing import BackendConformance, Subject
from weft.testing.own import MEMORY


class TestMemory(BackendConformance):
    @pytest.fixture
    def subject(self) -> Subject:
        return MEMORY
