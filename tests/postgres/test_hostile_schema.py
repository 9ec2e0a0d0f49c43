"""Another role fills `public` with functions, operators, types and tables that bear our names.

Every one that is called raises an error. The path of the store's sessions has `public` before
`pg_catalog`, so each would be found instead of the server's.
"""

import re
from collections.abc import Iterator
from importlib.resources import files
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from treadle import Thread, open_store
from treadle.backends.postgres._statements import Queries
from treadle.backends.postgres.doctor import examine
from treadle.backends.postgres.location import parse_location
from treadle.backends.postgres.schema import migrate, migration_script, migration_states
from treadle.backends.sql.program import Read, Write
from treadle.backends.sql.tables import PLAIN_WRITES
from treadle.testing._harness.sample_data import READS, WRITES, fill

FUNCTIONS = (
    ("hashtextextended(text, integer)", "bigint"),
    ("hashtextextended(text, bigint)", "bigint"),
    ("set_config(text, text, boolean)", "text"),
    ("current_setting(text)", "text"),
    ("json_array_elements_text(json)", "SETOF text"),
    ("json_array_elements(json)", "SETOF json"),
    ("json_array_length(json)", "integer"),
    ("json_to_recordset(json)", "SETOF record"),
    ("json_agg(text)", "json"),
    ("now()", "timestamptz"),
    ('"extract"(text, timestamptz)', "numeric"),
    ("clock_timestamp()", "timestamptz"),
    ("statement_timestamp()", "timestamptz"),
    ("pg_advisory_xact_lock(bigint)", "void"),
    ("pg_advisory_xact_lock_shared(bigint)", "void"),
    ("pg_notify(text, text)", "void"),
    ("count(bigint)", "bigint"),
    ("max(bigint)", "bigint"),
    ("max(integer)", "integer"),
    ("min(bigint)", "bigint"),
)
OPERATORS = (
    ("text", "||", "text", "text"),
    ("text", "=", "text", "boolean"),
    ("text", "<>", "text", "boolean"),
    ("text", "<", "text", "boolean"),
    ("bigint", "=", "bigint", "boolean"),
    ("bigint", "=", "integer", "boolean"),
    ("bigint", "<", "bigint", "boolean"),
    ("bigint", "<=", "bigint", "boolean"),
    ("bigint", "<=", "integer", "boolean"),
    ("bigint", ">", "bigint", "boolean"),
    ("bigint", ">=", "bigint", "boolean"),
    ("integer", "=", "integer", "boolean"),
    ("integer", "<>", "integer", "boolean"),
    ("integer", "<", "integer", "boolean"),
    ("integer", ">", "integer", "boolean"),
    ("integer", "/", "integer", "integer"),
    ("numeric", "*", "integer", "numeric"),
    ("json", "->>", "integer", "text"),
    ("timestamptz", "-", "interval", "timestamptz"),
    ("timestamptz", "<", "timestamptz", "boolean"),
)
TYPES = ("text", "json", "int8", "record")
TABLES = ("threads", "mailboxes", "entries", "payloads", "migrations", "pg_tables", "pg_namespace")


@pytest.fixture
def trapped_url(postgres_url: str) -> Iterator[str]:
    """The URL of a database of its own in which a role has laid its traps."""
    name = f"treadle_trapped_{uuid4().hex[:12]}"
    quoted = sql.Identifier(name)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(quoted))
        connection.execute(sql.SQL("CREATE ROLE {}").format(quoted))
        try:
            parts = urlsplit(postgres_url)
            url = urlunsplit(parts._replace(path=f"/{name}"))
            with psycopg.connect(url, autocommit=True) as hostile:
                hostile.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(quoted))
                hostile.execute(sql.SQL("SET ROLE {}").format(quoted))
                lay_traps(hostile)
            yield f"{url}&options={quote('-c search_path=public,pg_catalog,pg_temp')}"
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(quoted))
            connection.execute(sql.SQL("DROP ROLE {}").format(quoted))


def lay_traps(hostile: psycopg.Connection[tuple[object, ...]]) -> None:
    """Create everything in `public`, as the role that the connection has."""
    body = "LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''trapped''; END'"
    statements = [
        *(f"CREATE FUNCTION public.{name} RETURNS {type_} {body}" for name, type_ in FUNCTIONS),
        *(f'CREATE TABLE public."{name}" (id pg_catalog.text)' for name in TABLES),
    ]
    for number, (left, operator, right, result) in enumerate(OPERATORS):
        function = f"public.trap_{number}"
        statements += [
            f"CREATE FUNCTION {function}({left}, {right}) RETURNS {result} {body}",
            f"CREATE OPERATOR public.{operator}"
            f" (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = {function})",
        ]
    check = "CREATE FUNCTION public.trap() RETURNS boolean"
    statements.append(f"{check} {body}")
    statements += [
        f'CREATE DOMAIN public."{name}" AS pg_catalog.bool CHECK (public.trap())' for name in TYPES
    ]
    with hostile.transaction():
        for statement in statements:
            hostile.execute(statement.encode())


@pytest.mark.parametrize("ours", ["schema=treadle", "schema=public&table_prefix=x_"])
async def test_the_store_calls_none_of_them(trapped_url: str, ours: str) -> None:
    url = f"{trapped_url}&{ours}"
    location = parse_location(url)
    migrate(location)
    assert None not in [each.applied_at for each in migration_states(location)]
    async with open_store(url) as store:
        sample = await fill(store)
        for read in READS.values():
            await read(store)
        async with await psycopg.AsyncConnection.connect(location.conninfo) as connection:
            for write in WRITES.values():
                async with (
                    connection.transaction(force_rollback=True),
                    store.batch(connection=connection) as step,
                ):
                    write(step, sample)
        for name in ("append", "save", "delete a thread", "delete a run", "interrupt"):
            async with store.batch() as step:
                WRITES[name](step, sample)
        await store.mailboxes.purge(2**60)
        await store.mailboxes.send("box", 1)
        await store.mailboxes.wait(0)
        assert await store.mailboxes.claim(10, consumer="w", lease_ms=1)
    assert examine(location).findings == ()


def test_the_script_of_a_migration_calls_none_of_them(trapped_url: str) -> None:
    location = parse_location(f"{trapped_url}&schema=scripted")
    script = migration_script(location)
    with psycopg.connect(location.conninfo, autocommit=True) as connection:
        for statement in script.split(";"):
            if statement.strip():
                connection.execute(statement.encode())
    assert migration_script(location) == ""


def test_every_function_that_a_statement_calls_has_a_trap(postgres_url: str) -> None:
    backends = files("treadle.backends")
    folders = (backends / "sql" / "queries", backends / "postgres" / "queries")
    names = {file.name.split(".")[0] for folder in folders for file in folder.iterdir()}
    queries = Queries(parse_location(postgres_url))
    texts = [
        *(queries.of(Read(name, {})).text for name in names),
        *(queries.of(Write(name, ())).text for name in PLAIN_WRITES),
    ]
    called = set(re.findall(r"(\w+)\(", "\n".join(texts)))
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        found = connection.execute(
            "SELECT DISTINCT proname FROM pg_proc WHERE proname = ANY (%s)", (list(called),)
        ).fetchall()
    trapped = {name.split("(")[0].strip('"') for name, _ in FUNCTIONS}
    assert {name for (name,) in found} - trapped == set()


@pytest.mark.parametrize("setting", ["SET", "SET LOCAL"])
async def test_the_path_of_the_caller_s_transaction_is_theirs_again(
    url: str, postgres_url: str, setting: str
) -> None:
    async with (
        open_store(url) as store,
        await psycopg.AsyncConnection.connect(postgres_url) as connection,
    ):
        await connection.execute(f"{setting} search_path = elsewhere, public".encode())
        async with store.batch(connection=connection) as step:
            step.threads.create(Thread(id="t"))
        shown = await (await connection.execute("SHOW search_path")).fetchone()
        assert shown == ("elsewhere, public",)
        await connection.commit()
        shown = await (await connection.execute("SHOW search_path")).fetchone()
        assert (shown == ("elsewhere, public",)) == (setting == "SET")
