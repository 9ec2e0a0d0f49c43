"""The PostgreSQL backend passes the suite."""

from pathlib import Path

import psycopg
import pytest

from tests.postgres.schemas import SchemaPool, pooled_subject
from treadle.testing import BackendConformance, Subject
from treadle.testing._harness.running import run
from treadle.testing.builtin_subjects import postgres_subject
from treadle.testing.conformance import SUITE

CREATING = ("speed act one after the other: two sends of one dedupe key", "reopened: purge")
"""Ends of the names of checks whose stores other processes open, too, or are opened again."""


class TestPostgres(BackendConformance):
    @pytest.fixture
    def subject(self, postgres_url: str, postgres_schemas: SchemaPool) -> Subject:
        return pooled_subject(postgres_url)


def test_a_check_leaves_no_schema_behind(postgres_url: str, tmp_path: Path) -> None:
    count = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'treadle%'"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        before = connection.execute(count).fetchone()
        for number, check in enumerate(SUITE):
            if str(check).endswith(CREATING):
                folder = tmp_path / str(number)
                folder.mkdir()
                run(check, postgres_subject(postgres_url), folder)
        assert connection.execute(count).fetchone() == before
