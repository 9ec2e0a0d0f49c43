"""The PostgreSQL backend passes the suite."""

import pytest

from weft.testing import BackendConformance, Subject
from weft.testing.own import postgres_subject


class TestPostgres(BackendConformance):
    @pytest.fixture
    def subject(self, postgres_url: str) -> Subject:
        return postgres_subject(postgres_url)
