"""The files backend passes the suite."""

import pytest

from weft.testing import BackendConformance, Subject
from weft.testing.own import FILES


class TestFiles(BackendConformance):
    @pytest.fixture
    def subject(self) -> Subject:
        return FILES
