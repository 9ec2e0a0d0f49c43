"""Vacuuming after an erasure: it waits for nobody for ever, and says what is skipped."""

import logging
import re
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from treadle.backends.postgres._vacuum import vacuum
from treadle.backends.postgres.location import parse_location
from treadle.errors import StoreUnavailable


@pytest.fixture
def role(postgres_url: str, schema: str) -> Iterator[str]:
    """A role that may use the tables, and owns none."""
    name = f"user_{uuid4().hex[:16]}"
    names = {"role": sql.Identifier(name), "schema": sql.Identifier(schema)}
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for statement in (
            "CREATE ROLE {role} LOGIN",
            "GRANT USAGE ON SCHEMA {schema} TO {role}",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
        ):
            connection.execute(sql.SQL(statement).format(**names))
        yield name
        connection.execute(sql.SQL("DROP OWNED BY {role}").format(**names))
        connection.execute(sql.SQL("DROP ROLE {role}").format(**names))


def test_a_table_that_somebody_keeps_is_named(url: str, postgres_url: str, schema: str) -> None:
    """As by CREATE INDEX CONCURRENTLY, which waits itself for the oldest transaction."""
    with psycopg.connect(postgres_url) as connection:
        lock = sql.SQL("LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE")
        connection.execute(lock.format(sql.Identifier(schema, "messages")))
        with pytest.raises(StoreUnavailable, match=r"VACUUM of the table messages: .*timeout"):
            vacuum(parse_location(url), lock_seconds=0.05)
        connection.rollback()
    vacuum(parse_location(url))


def test_a_table_that_is_skipped_is_logged(
    url: str, role: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        vacuum(parse_location(f"{url}&user={role}"))
    assert re.search('VACUUM: .*"messages"', caplog.text)
