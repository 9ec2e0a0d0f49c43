"""Durability: a commit that is acknowledged has reached the server's disk, if that is wanted."""

from typing import Literal

import psycopg
import pytest

from treadle import Thread, open_store


@pytest.fixture
def schema(new_schema: str) -> str:
    """The test adds a trigger."""
    return new_schema


@pytest.mark.parametrize(("durability", "setting"), [("full", "on"), ("relaxed", "off")])
async def test_durability_sets_synchronous_commit(
    url: str,
    postgres_url: str,
    schema: str,
    durability: Literal["full", "relaxed"],
    setting: str,
) -> None:
    statements = (
        f"CREATE TABLE {schema}.seen (setting text)",
        f"CREATE FUNCTION {schema}.note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
        f" INSERT INTO {schema}.seen VALUES (current_setting('synchronous_commit'));"
        " RETURN NULL; END$$",
        f"CREATE TRIGGER note AFTER INSERT ON {schema}.threads"
        f" FOR EACH ROW EXECUTE FUNCTION {schema}.note()",
    )
    async with open_store(url, migrate=True, durability=durability) as store:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())
            await store.threads.create(Thread(id="t"))
            found = connection.execute(f"SELECT setting FROM {schema}.seen".encode()).fetchall()
    assert found == [(setting,)]
