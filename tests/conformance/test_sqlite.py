"""The sqlite backend passes the suite."""

import pytest

from weft.testing import BackendConformance, Subject
from weft.testing.own import SQLITE


class TestSqlite(BackendConformance):
    @pytest.fixture
    def subject(self) -> Subject:
        return SQLITE
