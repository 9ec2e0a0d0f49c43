"""A schema for each test, on the server that all share, and a proxy before the server."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from tests.postgres.proxy import Proxy
from tests.postgres.schemas import SchemaPool


@pytest.fixture
def schema(postgres_schemas: SchemaPool) -> Iterator[str]:
    """The name of a schema with empty tables, which no other test uses at the same time.

    A module whose tests change more than rows overrides it by `new_schema`.
    """
    name = postgres_schemas.take()
    yield name
    postgres_schemas.give_back(name)


@pytest.fixture
def new_schema(postgres_url: str) -> Iterator[str]:
    """The name of a schema that is not there yet, and is dropped afterwards."""
    name = f"treadle_new_{uuid4().hex[:16]}"
    yield name
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        drop = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE")
        connection.execute(drop.format(sql.Identifier(name)))


@pytest.fixture
def url(postgres_url: str, schema: str) -> str:
    """The URL of a store in that schema."""
    joint = "&" if "?" in postgres_url else "?"
    return f"{postgres_url}{joint}schema={schema}"


@pytest.fixture
def proxy(url: str) -> Iterator[Proxy]:
    """A proxy before the server, which can hold back what is sent; it has that URL of its own."""
    with Proxy(url) as opened:
        yield opened
