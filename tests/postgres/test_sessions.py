"""Sessions mean the same whatever the database, the role, the URL and the environment say."""

from collections.abc import Iterator
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from treadle import InvalidValue, Message, StoreUnavailable, Thread, open_store
from treadle.backends.postgres.location import parse_location
from treadle.backends.postgres.schema import migrate, migration_script, migration_states

TEXT = "naïve 🧵 日本"
SETTINGS = (
    "DateStyle=SQL\\,DMY",
    "IntervalStyle=sql_standard",
    "TimeZone=Asia/Kathmandu",
    "bytea_output=escape",
    "client_encoding=LATIN1",
    "default_transaction_isolation=serializable",
    "default_transaction_deferrable=on",
    "extra_float_digits=-15",
    "search_path=pg_catalog",
    "standard_conforming_strings=off",
    "transform_null_equals=on",
)


@pytest.fixture(params=["SQL_ASCII", "LATIN1"])
def other_database(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[str]:
    """The URL of a database whose encoding is not UTF-8."""
    name = f"treadle_encoding_{uuid4().hex[:12]}"
    create = sql.SQL("CREATE DATABASE {} ENCODING {} LOCALE 'C' TEMPLATE template0")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(create.format(sql.Identifier(name), sql.Literal(request.param)))
        yield urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


async def use(url: str) -> None:
    """Write, send, claim and wait, and find what was written."""
    async with open_store(url) as store:
        message = Message.user(TEXT)
        await store.threads.create(Thread(id=TEXT, messages=(message,), state=TEXT))
        head = await store.threads.load(TEXT)
        assert head is not None
        assert head.thread.messages == (message,)
        assert head.thread.state == TEXT
        sent = (await store.mailboxes.send(TEXT, TEXT, dedupe_key=TEXT)).entry
        await store.mailboxes.wait(20_000)
        (entry,) = await store.mailboxes.claim(consumer=TEXT, lease_ms=60_000)
        assert entry.payload == TEXT
        assert entry.dedupe_key == TEXT
        assert entry.entry_id == sent.entry_id
        assert entry.lease_until is not None
        assert entry.lease_until - entry.updated_at == 60_000
        await store.mailboxes.ack(entry)
        await store.mailboxes.purge(2**60)


async def test_a_database_of_another_encoding_is_refused_before_anything_is_created(
    other_database: str,
) -> None:
    location = parse_location(other_database)
    for attempt in (migrate, migration_script, migration_states):
        with pytest.raises(InvalidValue, match="createdb -E UTF8 -T template0"):
            attempt(location)
    for migrates in (False, True):
        with pytest.raises(InvalidValue, match=r"has the encoding (SQL_ASCII|LATIN1)"):
            await open_store(other_database, migrate=migrates).open()
    with psycopg.connect(location.conninfo, client_encoding="UTF8") as connection:
        found = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'treadle'")
        assert found.fetchone() is None


async def test_settings_of_the_url_change_nothing(url: str) -> None:
    options = " ".join(f"-c {setting}" for setting in SETTINGS)
    await use(f"{url}&client_encoding=LATIN1&options={quote(options)}")


async def test_settings_of_the_environment_change_nothing(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    monkeypatch.setenv("PGDATESTYLE", "German")
    monkeypatch.setenv("PGTZ", "Asia/Kathmandu")
    monkeypatch.setenv("PGOPTIONS", " ".join(f"-c {setting}" for setting in SETTINGS))
    await use(url)


async def test_settings_of_the_role_change_nothing(postgres_url: str, url: str) -> None:
    role = f"treadle_role_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        statements = [f"CREATE ROLE {role} LOGIN SUPERUSER"]
        statements += [
            "ALTER ROLE {} SET {} = '{}'".format(role, *setting.replace("\\", "").split("="))
            for setting in SETTINGS
        ]
        for statement in statements:
            connection.execute(statement.encode())
        try:
            await use(f"{url}&user={role}")
        finally:
            connection.execute(f"DROP ROLE {role}".encode())


async def test_a_database_that_is_read_only_by_default_stays_so(url: str) -> None:
    option = quote("-c default_transaction_read_only=on")
    with pytest.raises(StoreUnavailable, match="in a read-only transaction"):
        await open_store(f"{url}&options={option}").open()


async def test_a_caller_s_connection_of_another_encoding_is_refused(
    url: str, postgres_url: str
) -> None:
    connecting = psycopg.AsyncConnection.connect(postgres_url, client_encoding="LATIN1")
    async with open_store(url) as store, await connecting as connection:
        with pytest.raises(InvalidValue, match="client_encoding is LATIN1"):
            async with store.batch(connection=connection) as step:
                step.threads.create(Thread(id=TEXT))
        assert await store.threads.load(TEXT) is None
