"""The SQLite backend passes the suite, and the doctor finds nothing in what a check leaves."""

import pytest

from tests.sqlite.support import EXAMINED
from treadle.testing import BackendConformance, Subject


class TestSqlite(BackendConformance):
    @pytest.fixture
    def subject(self) -> Subject:
        return EXAMINED
