"""The schema: which migrations it has, and how it is brought up to date.

Migrations that expand may be applied while an older Treadle works. Those that contract remove what
it uses: they are applied on request, once no older Treadle is running.
"""

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager

import msgspec
import psycopg
from psycopg import errors

from treadle.backends._deadline import Deadline, Patience
from treadle.backends.postgres.connection import (
    SEARCH_PATH,
    Connection,
    begin,
    connect,
    unavailable,
)
from treadle.backends.postgres.location import Location
from treadle.backends.sql.migrations import (
    Applied,
    Migration,
    MigrationState,
    all_migrations,
    find_missing,
    states_of,
)
from treadle.errors import (
    CorruptRecord,
    InvalidValue,
    SchemaTooNew,
    SchemaTooOld,
    StoreUnavailable,
)

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


LOCK_SECONDS = 30
"""How long a migration waits for a table, once it is its turn among migrations."""


class Schema(msgspec.Struct, frozen=True):
    """The state of a database."""

    exists: bool
    has_list: bool
    """Whether there is a table of migrations."""
    applied: dict[int, Applied]
    contracted: frozenset[int]
    """The numbers of the applied migrations that contract."""


def known_migrations() -> tuple[Migration, ...]:
    """The migrations of this Treadle."""
    return all_migrations("postgres")


def check_schema(connection: Connection, location: Location) -> None:
    """Check that this Treadle can work with the schema.

    Raises:
        SchemaTooOld: a migration that expands is missing. SchemaTooNew: a newer Treadle has removed
        what this one uses. CorruptRecord: the text of a migration has changed since it was applied,
        or one was left out. InvalidValue: the tables are another program's.
    """
    known = known_migrations()
    for migration in missing_migrations(_read(connection, location), known, location):
        if not migration.contracts:
            raise SchemaTooOld(str(location), migration.label)


def missing_migrations(
    schema: Schema, known: Sequence[Migration], location: Location
) -> tuple[Migration, ...]:
    """The migrations that a database lacks. Unknown newer ones do no harm if they expand.

    Raises:
        SchemaTooNew, CorruptRecord: as `check_schema`.
    """
    newest = known[-1].number
    if schema.contracted and max(schema.contracted) > newest:
        raise SchemaTooNew(str(location), max(schema.contracted), newest)
    ours = {number: each for number, each in schema.applied.items() if number <= newest}
    return find_missing(tuple(known), ours, str(location))


def migrate(
    location: Location,
    *,
    contract: bool = False,
    known: Sequence[Migration] | None = None,
    is_wanted: Callable[[], bool] | None = None,
) -> tuple[Migration, ...]:
    """Apply the migrations that a database lacks, all or none, and return them.

    Several processes that migrate at the same time wait for each other. With `contract`, migrations
    are applied that remove what an older Treadle uses. There is no deadline, because a migration
    takes its time, but it ends once `is_wanted` returns False. It waits `LOCK_SECONDS` at most for
    a table that another program has locked, because others wait for that table behind it.

    Raises:
        SchemaTooNew, CorruptRecord, InvalidValue: as `check_schema`.
        StoreUnavailable: the server cannot be reached, or a migration failed; nothing was changed.
    """
    known = known_migrations() if known is None else known
    patience = None if is_wanted is None else Patience(Deadline(math.inf), is_wanted)
    with _connected(location, patience) as connection:
        connection.execute(_lock(location).encode())
        connection.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'".encode())
        schema = _read(connection, location)
        wanted = _wanted(schema, known, location, contract=contract)
        if wanted:
            _apply(connection, _preparations(schema, location), "creating the schema", location)
        for migration in wanted:
            doing = f"migration {migration.label}"
            _apply(connection, _statements(migration, location), doing, location)
        return wanted


def migration_script(location: Location, *, contract: bool = False) -> str:
    """The SQL that `migrate` would execute, to be run by hand; empty if nothing is missing.

    Raises:
        SchemaTooNew, CorruptRecord, InvalidValue, StoreUnavailable: as `migrate`.
    """
    with _connected(location) as connection:
        schema = _read(connection, location)
    wanted = _wanted(schema, known_migrations(), location, contract=contract)
    if not wanted:
        return ""
    statements = [
        "BEGIN",
        f"SELECT {SEARCH_PATH}",
        _lock(location),
        *_preparations(schema, location),
    ]
    for migration in wanted:
        statements += _statements(migration, location)
    return "\n\n".join(f"{statement};" for statement in (*statements, "COMMIT")) + "\n"


def migration_states(location: Location) -> tuple[MigrationState, ...]:
    """All known migrations, and when each was applied.

    Raises:
        SchemaTooNew, CorruptRecord, InvalidValue, StoreUnavailable: as `migrate`.
    """
    with _connected(location) as connection:
        schema = _read(connection, location)
    missing_migrations(schema, known_migrations(), location)
    return states_of(known_migrations(), schema.applied)


def _wanted(
    schema: Schema, known: Sequence[Migration], location: Location, *, contract: bool
) -> tuple[Migration, ...]:
    missing = missing_migrations(schema, known, location)
    return tuple(each for each in missing if contract or not each.contracts)


def _lock(location: Location) -> str:
    """The statement that waits for the lock of migrations; the transaction's end releases it."""
    return f"SELECT pg_advisory_xact_lock(hashtextextended('{location.lock}', 0))"


def _preparations(schema: Schema, location: Location) -> Iterator[str]:
    if not schema.exists:
        yield f'CREATE SCHEMA "{location.schema}"'
    if not schema.has_list:
        yield location.qualify(_LIST)


def _statements(migration: Migration, location: Location) -> Iterator[str]:
    yield from map(location.qualify, migration.statements())
    yield location.qualify(_NOTE).format(migration)


def _apply(
    connection: Connection, statements: Iterable[str], doing: str, location: Location
) -> None:
    try:
        for statement in statements:
            connection.execute(statement.encode())
    except psycopg.Error as error:
        reason = f"{doing} failed, and nothing was changed: {str(error).strip()}"
        if isinstance(error, errors.InsufficientPrivilege):
            role = connection.info.user
            reason += (
                "; let a role that may do it run the output of `treadle migrate --sql`, "
                f'or CREATE SCHEMA "{location.schema}" AUTHORIZATION "{role}"'
            )
        raise StoreUnavailable(str(location), reason) from error


def _read(connection: Connection, location: Location) -> Schema:
    exists = "SELECT 1 FROM pg_namespace WHERE nspname = %s"
    listed = "SELECT 1 FROM pg_tables WHERE schemaname = %s AND tablename = %s"
    table = f"{location.table_prefix}migrations"
    has_schema = connection.execute(exists, (location.schema,)).fetchone() is not None
    if connection.execute(listed, (location.schema, table)).fetchone() is None:
        return Schema(has_schema, has_list=False, applied={}, contracted=frozenset())
    try:
        rows = connection.execute(location.qualify(_READ).encode()).fetchall()
    except errors.UndefinedColumn as error:
        reason = f"the table {table} in schema {location.schema} is another program's"
        raise InvalidValue("url", f"{reason}; give schema= or table_prefix=") from error
    if not rows:
        raise CorruptRecord(str(location), "its list of migrations is empty", "restore a backup")
    return Schema(
        has_schema,
        has_list=True,
        applied={number: Applied(checksum, at) for number, _, checksum, at in rows},
        contracted=frozenset(number for number, contracts, _, _ in rows if contracts),
    )


@contextmanager
def _connected(
    location: Location, patience: Patience | None = None
) -> Generator[Connection, None, None]:
    try:
        with connect(location, patience) as connection, begin(connection):
            yield connection
    except psycopg.Error as error:
        raise unavailable(error, location) from error
