"""A store in PostgreSQL that is opened to read only needs no right to write."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from treadle import Message, ReadOnlyStore, Thread, open_store

GRANTS = """
CREATE ROLE {role} LOGIN;
ALTER ROLE {role} SET default_transaction_read_only = on;
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role};
"""


@pytest.fixture
def reader(postgres_url: str, new_schema: str) -> Iterator[str]:
    """The name of a role that may only read, in transactions that may not write."""
    name = f"reader_{uuid4().hex[:16]}"
    yield name
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        drop = sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}")
        connection.execute(drop.format(sql.Identifier(name)))


async def test_a_role_that_may_only_read_opens_a_store_to_read(
    postgres_url: str, new_schema: str, reader: str
) -> None:
    joint = "&" if "?" in postgres_url else "?"
    url = f"{postgres_url}{joint}schema={new_schema}"
    async with open_store(url, migrate=True) as writer:
        await writer.threads.ensure(Thread(id="a"))
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            names = {"role": sql.Identifier(reader), "schema": sql.Identifier(new_schema)}
            connection.execute(sql.SQL(GRANTS).format(**names))
        async with open_store(f"{url}&user={reader}", read_only=True) as store:
            assert (await store.threads.list()).items == ("a",)
            await store.mailboxes.wait(10)
            await writer.threads.append("a", Message.user("x"))
            assert await store.threads.message_count("a") == 1
            with pytest.raises(ReadOnlyStore):
                await store.threads.delete("a")
