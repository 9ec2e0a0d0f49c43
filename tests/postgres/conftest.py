"""A schema of its own for each test, on the server that all share."""

import hashlib
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql


@pytest.fixture
def schema(request: Any) -> str:
    """The name of a schema that no other test uses."""
    return f"treadle_{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]}"


@pytest.fixture
def url(postgres_url: str, schema: str) -> Iterator[str]:
    """A store in that schema, which is dropped afterwards."""
    joint = "&" if "?" in postgres_url else "?"
    yield f"{postgres_url}{joint}schema={schema}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        drop = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE")
        connection.execute(drop.format(sql.Identifier(schema)))
