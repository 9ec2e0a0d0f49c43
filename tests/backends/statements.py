"""Statements that damage a database, and the mark of tests that do so."""

import sqlite3
from contextlib import closing

import psycopg
import pytest

from treadle.backends.postgres.location import parse_location

in_databases = pytest.mark.parametrize("store_url", ["sqlite", "postgres"], indirect=True)


def execute(store_url: str, statement: str) -> None:
    """Carry out a statement in the database of a store, past the store."""
    if store_url.startswith("sqlite"):
        with closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as file:
            file.execute(statement)
            file.commit()
        return
    location = parse_location(store_url)
    with psycopg.connect(location.conninfo) as server:
        server.execute(f'SET search_path TO "{location.schema}"'.encode())
        server.execute(statement.encode())
