"""The schema: how far it is, and how it is brought up to date.

Steps that expand may be taken while an older Weft works. Those that contract take away what it
uses: they are taken when asked for, once nobody uses it any more.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager

import msgspec
import psycopg

from weft.backends.postgres.connection import Connection, connect, translated
from weft.backends.postgres.location import Location
from weft.backends.sql.migrations import (
    Applied,
    Migration,
    MigrationState,
    all_migrations,
    find_missing,
    states_of,
)
from weft.errors import SchemaTooNew, SchemaTooOld

_LIST = """CREATE TABLE migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    contracts boolean NOT NULL,
    checksum text NOT NULL,
    applied_at bigint NOT NULL
)"""
_NOTE = """INSERT INTO migrations (number, name, contracts, checksum, applied_at)
VALUES ({0.number}, '{0.name}', {0.contracts}, '{0.checksum}',
    (extract(epoch FROM clock_timestamp()) * 1000)::bigint)"""
_READ = "SELECT number, contracts, checksum, applied_at FROM migrations"


class Schema(msgspec.Struct, frozen=True):
    """What a database has."""

    exists: bool
    has_list: bool
    applied: dict[int, Applied]
    contracted: frozenset[int]
    """Which of those that were applied took something away."""


def known_migrations() -> tuple[Migration, ...]:
    """The migrations of this Weft."""
    return all_migrations("postgres")


def check_schema(connection: Connection, location: Location) -> None:
    """See that this Weft can work with the schema.

    Raises:
        SchemaTooOld: a migration that expands is missing.
        SchemaTooNew: a newer Weft has taken away what this one uses.
        CorruptRecord: a migration was another text when it was applied.
    """
    known = known_migrations()
    for migration in missing_migrations(_read(connection, location), known, location):
        if not migration.contracts:
            raise SchemaTooOld(str(location), migration.label)


def missing_migrations(
    schema: Schema, known: Sequence[Migration], location: Location
) -> tuple[Migration, ...]:
    """The migrations that a database lacks. Newer ones than are known do no harm if they expand.

    Raises:
        SchemaTooNew, CorruptRecord: as `check_schema`.
    """
    newest = known[-1].number
    if schema.contracted and max(schema.contracted) > newest:
        raise SchemaTooNew(str(location), max(schema.contracted), newest)
    ours = {number: each for number, each in schema.applied.items() if number <= newest}
    return find_missing(tuple(known), ours, str(location))


def migrate(
    location: Location, *, contract: bool = False, known: Sequence[Migration] | None = None
) -> tuple[Migration, ...]:
    """Apply what a database lacks, all of it or nothing; what was applied.

    Several who do so at a time wait for each other. With `contract`, also what takes something away
    that an older Weft uses.

    Raises:
        SchemaTooNew, CorruptRecord: as `check_schema`.
        StoreUnavailable: the server cannot be reached, or a migration failed; nothing was changed.
    """
    known = known_migrations() if known is None else known
    with _connected(location) as connection, connection.transaction():
        lock = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
        connection.execute(lock, (location.lock,))
        schema = _read(connection, location)
        missing = missing_migrations(schema, known, location)
        wanted = tuple(each for each in missing if contract or not each.contracts)
        for statement in _statements(schema, wanted, location):
            connection.execute(statement.encode())
        return wanted


def migration_script(location: Location, *, contract: bool = False) -> str:
    """The SQL that `migrate` would run.

    Raises:
        SchemaTooNew, CorruptRecord, StoreUnavailable: as `migrate`.
    """
    with _connected(location) as connection:
        schema = _read(connection, location)
    missing = missing_migrations(schema, known_migrations(), location)
    wanted = tuple(each for each in missing if contract or not each.contracts)
    return "".join(f"{statement};\n\n" for statement in _statements(schema, wanted, location))


def migration_states(location: Location) -> tuple[MigrationState, ...]:
    """All migrations, and when each was applied.

    Raises:
        SchemaTooNew, CorruptRecord, StoreUnavailable: as `migrate`.
    """
    with _connected(location) as connection:
        schema = _read(connection, location)
    missing_migrations(schema, known_migrations(), location)
    return states_of(known_migrations(), schema.applied)


def _statements(schema: Schema, wanted: Sequence[Migration], location: Location) -> Iterator[str]:
    if wanted and not schema.exists:
        yield f'CREATE SCHEMA "{location.schema}"'
    if wanted and not schema.has_list:
        yield location.qualify(_LIST)
    for migration in wanted:
        yield from map(location.qualify, migration.statements())
        yield location.qualify(_NOTE.format(migration))


def _read(connection: Connection, location: Location) -> Schema:
    exists = "SELECT 1 FROM pg_namespace WHERE nspname = %s"
    listed = "SELECT 1 FROM pg_tables WHERE schemaname = %s AND tablename = %s"
    table = f"{location.table_prefix}migrations"
    has_schema = connection.execute(exists, (location.schema,)).fetchone() is not None
    if connection.execute(listed, (location.schema, table)).fetchone() is None:
        return Schema(has_schema, has_list=False, applied={}, contracted=frozenset())
    rows = connection.execute(location.qualify(_READ).encode()).fetchall()
    return Schema(
        has_schema,
        has_list=True,
        applied={number: Applied(checksum, at) for number, _, checksum, at in rows},
        contracted=frozenset(number for number, contracts, _, _ in rows if contracts),
    )


@contextmanager
def _connected(location: Location) -> Generator[Connection, None, None]:
    try:
        with connect(location) as connection:
            yield connection
    except psycopg.Error as error:
        raise translated(error, location) from error
